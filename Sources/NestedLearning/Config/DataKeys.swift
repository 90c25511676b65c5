import JSON

/// An entry of `train_data_path` where it is a list: a file or folder, and how often an epoch has its rows.
public struct WeightedPath: Sendable, Equatable {
  public var path: String
  public var weight: Double

  public init(path: String, weight: Double = 1) {
    self.path = path
    self.weight = weight
  }
}

// The keys of data that are of their own kind.
extension NestedLearningConfig {
  static let trainData = ConfigKey(
    "train_data_path", .path,
    "Rows to train on: a file (JSONL, a JSON list, CSV with a header; may be compressed by gzip), a folder with train, "
      + "valid and test files, or a list of these with weights ([{path: a.jsonl, weight: 2}, …]).",
    isRequired: true,
    mapPaths: { config, change in
      if !config.trainDataPath.isEmpty { config.trainDataPath = change(config.trainDataPath) }
      for index in config.trainDataFiles.indices {
        config.trainDataFiles[index].path = change(config.trainDataFiles[index].path)
      }
    },
    read: { (config, value) throws(ConfigValueError) in
      guard value.array != nil else {
        config.trainDataPath = try ConfigKey.text(value, "a path, or a list of paths with weights")
        config.trainDataFiles = []
        return
      }
      config.trainDataFiles = try ConfigKey.list(value, "a path, or a list of paths with weights") {
        (item) throws(ConfigValueError) in try weighted(item)
      }
      config.trainDataPath = config.trainDataFiles[0].path
    },
    write: { config in
      if config.trainDataFiles.isEmpty { return .string(config.trainDataPath) }
      return .array(
        config.trainDataFiles.map { ["path": .string($0.path), "weight": .number($0.weight)] })
    })

  static let validationData = ConfigKey(
    "val_data_path", .path,
    "Rows to evaluate on: a file, a folder or a list of these; else those of the folder's valid files, or the last 10 % of "
      + "each file's rows.",
    mapPaths: { config, change in
      config.valDataPath = config.valDataPath.map(change)
      config.valDataFiles = config.valDataFiles.map(change)
    },
    read: { (config, value) throws(ConfigValueError) in
      config.valDataFiles = []
      guard value.array != nil else {
        config.valDataPath = value.isNull ? nil : try ConfigKey.text(value, "a path, or a list of paths")
        return
      }
      config.valDataFiles = try ConfigKey.list(value, "a path, or a list of paths") {
        (item) throws(ConfigValueError) in
        let entry = try weighted(item)
        guard entry.weight == 1 else {
          throw ConfigValueError(
            reason: "has a weight, but each row counts once in an evaluation", remedy: "leave the weight out")
        }
        return entry.path
      }
      config.valDataPath = config.valDataFiles[0]
    },
    write: { config in
      if config.valDataFiles.isEmpty { return config.valDataPath.map { .string($0) } ?? .null }
      return .array(config.valDataFiles.map { ["path": .string($0)] })
    })

  static func weighted(_ item: JSONValue) throws(ConfigValueError) -> WeightedPath {
    guard let object = item.object else {
      return WeightedPath(path: try ConfigKey.text(item, "a path, or an object of path and weight"))
    }
    let line = object.members.first.flatMap { $0.line > 0 ? $0.line : nil }
    if let other = object.members.first(where: { $0.key != "path" && $0.key != "weight" }) {
      throw ConfigValueError(
        reason: "has an unknown key \"\(other.key)\" in an entry", remedy: "an entry has path and weight",
        line: line)
    }
    let weight = try object["weight"].map { (value) throws(ConfigValueError) in
      try ConfigKey.real(value, "a weight above 0, of at most 1000000") { $0 > 0 && $0 <= 1e6 }
    }
    return WeightedPath(
      path: try ConfigKey.text(object["path"] ?? .null, "an object of path and weight"), weight: weight ?? 1)
  }

  static let templateDate = ConfigKey(
    "chat_template_date", .string,
    "The day that chat templates see, as 2026-11-29; else the day on which the run is made, if the template asks for it.",
    read: { (config, value) throws(ConfigValueError) in
      guard !value.isNull else {
        config.chatTemplateDate = nil
        return
      }
      let text = try ConfigKey.text(value, "a day such as 2026-11-29")
      let digits = text.utf8.enumerated().allSatisfy { index, byte in
        index == 4 || index == 7 ? byte == UInt8(ascii: "-") : (0x30...0x39).contains(byte)
      }
      guard digits, text.utf8.count == 10 else { throw .type("a day such as 2026-11-29", value) }
      config.chatTemplateDate = text
    },
    write: { $0.chatTemplateDate.map { .string($0) } ?? .null })
}
