import Files
import JSON
import NestedLearning

/// Where a run's model, data and adapter lie now, if they were moved since it began. They are recognised by their
/// SHA-256, so that the path changes nothing.
public struct RunPaths: Sendable {
  /// A file or folder that has another path now. What lay below a folder lies below the new one.
  public struct Move: Sendable, Equatable {
    let old: String
    let new: String

    /// - Parameters: paths, relative to the working folder.
    public init(from old: String, to new: String) {
      (self.old, self.new) = (FileSystem.absolute(old), FileSystem.absolute(new))
    }

    fileprivate func callAsFunction(_ path: String) -> String? {
      if path == old { return new }
      let folder = old.hasSuffix("/") ? old : old + "/"
      return path.hasPrefix(folder) ? FileSystem.absolute(new + "/" + path.dropFirst(folder.count)) : nil
    }
  }

  /// By config key; absolute.
  private let values: [String: String]
  private let moves: [Move]

  /// The keys that have a flag of their own, with what each names.
  private static let keysWithFlags = [
    "base_model_path": "the base model", "train_data_path": "the training data",
    "val_data_path": "the validation data", "adapter_path": "the adapter that training started from",
  ]

  /// What other keys name.
  private static let others = [
    "replay_data_path": "the data to rehearse", "ewc_data_path": "the data that weights are measured on",
    "curriculum_stages": "the data of a stage",
  ]

  /// - Parameters:
  ///   - values: new paths by config key, relative to the working folder; nil for what was not moved.
  ///   - moves: for every path of the config; the first that a path lies below counts.
  public init(_ values: [String: String?] = [:], moves: [Move] = []) {
    self.values = values.compactMapValues { $0 }.mapValues(FileSystem.absolute)
    self.moves = moves
  }

  public var isEmpty: Bool { values.isEmpty && moves.isEmpty }

  /// The config that is recorded, with these paths in it.
  func config(_ recorded: JSONObject, file: String) throws -> NestedLearningConfig {
    var object = recorded
    for (key, value) in values { object[key] = Self.moved(object[key], to: value) }
    var config = try NestedLearningConfig(object: object, file: file)
    config.mapPaths { path in moves.lazy.compactMap { $0(path) }.first ?? path }
    return config
  }

  /// The keys by which two configs of one run differ, but for where things lie: that digests tell.
  static func keys(of config: NestedLearningConfig, differingFrom other: NestedLearningConfig) -> [String] {
    var (one, two) = (config, other)
    one.mapPaths { _ in "" }
    two.mapPaths { _ in "" }
    // One file may have become a list of files.
    let places = Set(keysWithFlags.keys).union(["output_path"])
    return one.keys(differingFrom: two).filter { !places.contains($0) && $0 != "preset" }
  }

  /// Several files that now lie in one folder, under the names that they had; or one path.
  private static func moved(_ recorded: JSONValue?, to path: String) -> JSONValue {
    guard let list = recorded?.array, FileSystem.kind(path) == .folder else { return .string(path) }
    return .array(
      list.map { entry in
        var entry = entry.object ?? JSONObject()
        entry["path"] = (entry["path"]?.string).map { .string(path + "/" + FileSystem.name(of: $0)) }
        return .object(entry)
      })
  }

  /// - Throws: `ServiceError` that names what is not where the run's config says, and how to say where it is.
  static func checkAllExist(_ config: NestedLearningConfig, folder: String) throws {
    var seen = Set(["output_path"])
    let missing = config.paths.filter { FileSystem.kind($0.path) == nil && seen.insert($0.key).inserted }
    guard !missing.isEmpty else { return }
    let places = missing.map { key, path in
      "\(keysWithFlags[key] ?? others[key] ?? "what a key names") is not at \(path) (\(key))"
    }.joined(separator: ", and ")
    let flags = missing.map { key, path in
      keysWithFlags[key] == nil
        ? "--moved \(FileSystem.folder(of: path))=FOLDER" : "--\(key.replacing("_", with: "-")) PATH"
    }.joined(separator: " ")
    throw ServiceError(
      "the run in \(folder) cannot go on: \(places)",
      remedy:
        "if it was moved, say where it is now: nl-coord resume \(folder) \(flags); it is recognised by its SHA-256"
    )
  }
}
