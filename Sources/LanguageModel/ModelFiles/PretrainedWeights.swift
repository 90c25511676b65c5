import Files

/// Weights that come from elsewhere, on their way into a model: by their names, or by names of which prefixes are others.
///
/// ```swift
/// let weights = try loadPretrainedWeights(
///   base: "tiny", from: "pretrained.safetensors", prefixes: [("encoder.", "model.")], isStrict: false)
/// print(weights.report.text)
/// try weights.write(to: "tiny-pretrained")
/// ```
public struct PretrainedWeights {
  /// What became of each name. Names are the model's, but for those that it has no place for.
  public struct Report: Sendable, Equatable {
    /// A tensor whose shape is another.
    public struct Mismatch: Sendable, Equatable {
      public let name: String
      public let given: [Int]
      public let expected: [Int]
    }

    /// Loaded, ascending.
    public fileprivate(set) var matched: [String] = []
    /// Of the model, and not among the weights: they stay as the base has them.
    public fileprivate(set) var missing: [String] = []
    /// Among the weights, under the names that they came to, and not of the model.
    public fileprivate(set) var unexpected: [String] = []
    /// They stay as the base has them.
    public fileprivate(set) var mismatched: [Mismatch] = []

    /// Whether every tensor of the model was loaded, and nothing else was there.
    public var isWhole: Bool { missing.isEmpty && unexpected.isEmpty && mismatched.isEmpty }

    /// For people: how many there are of each kind, and their names where something is wrong.
    public var text: String {
      var lines = ["\(matched.count) tensors loaded"]
      if !missing.isEmpty { lines.append(Self.line("not given, and left as the base has them", missing)) }
      if !unexpected.isEmpty { lines.append(Self.line("without a place in the model", unexpected)) }
      if !mismatched.isEmpty {
        lines.append(
          Self.line("of another shape", mismatched.map { "\($0.name) \($0.given), not \($0.expected)" }))
      }
      return lines.joined(separator: "\n")
    }

    private static let shownNames = 10

    private static func line(_ what: String, _ names: [String]) -> String {
      let more = names.count > shownNames ? ", and \(names.count - shownNames) more" : ""
      return "\(names.count) \(what): \(names.prefix(shownNames).joined(separator: ", "))\(more)"
    }
  }

  public let report: Report
  private let base: ModelFolder
  private let loaded: [String: StoredTensor]

  fileprivate init(base: ModelFolder, tensors: [(name: String, tensor: StoredTensor)], file: String) throws {
    self.base = base
    let expected = Dictionary(uniqueKeysWithValues: base.configuration.tensors.map { ($0.name, $0.shape) })
    var loaded: [String: StoredTensor] = [:]
    var report = Report()
    var seen = Set<String>()
    for (name, tensor) in tensors {
      guard seen.insert(name).inserted else {
        throw ModelError(file: file, name: "tensor \(name)", "comes from two tensors by these prefixes")
      }
      guard let shape = expected[name] else {
        report.unexpected.append(name)
        continue
      }
      guard shape == tensor.shape else {
        report.mismatched.append(.init(name: name, given: tensor.shape, expected: shape))
        continue
      }
      loaded[name] = tensor
    }
    report.matched = loaded.keys.sorted(by: utf8Ascending)
    report.missing = expected.keys.filter { !seen.contains($0) }.sorted(by: utf8Ascending)
    report.unexpected.sort(by: utf8Ascending)
    (self.report, self.loaded) = (report, loaded)
  }

  /// Writes the model, with the base's config and tokenizer, as a folder that appears whole or not at all.
  ///
  /// - Throws: `ModelError` if the folder is there already, or does not fit on the volume.
  public func write(to output: String, shardSize: Int = ShardedSafetensorsWriter.standardSize) throws {
    guard FileSystem.kind(output) == nil else {
      throw ModelError(file: output, "is already there; remove it or choose another name")
    }
    let items = try base.configuration.tensors.map { expected in
      let tensor = try loaded[expected.name] ?? base.weights.tensor(expected.name, shape: expected.shape)
      return SafetensorsItem(name: expected.name, shape: expected.shape, dtype: tensor.dtype) { write in
        try write(tensor.bytes)
      }
    }
    let size = items.reduce(0) { $0 + $1.byteCount }
    if let free = FileSystem.freeBytes(at: output), free < size {
      throw ModelError(
        file: output, "needs \(size) bytes, but \(free) are free on this volume; free some space")
    }
    try AtomicFolder.make(output) { folder in
      _ = try ShardedSafetensorsWriter.write(items, size: shardSize, to: folder)
      try AtomicFile.write(try AtomicFile.read(base.path + "/config.json"), to: folder + "/config.json")
      try ModelFolder.copyCompanions(from: base.path, to: folder)
    }
  }
}

/// Reads weights for the model in `base`.
///
/// - Parameters:
///   - base: a model folder, which says what the model is and has what the weights lack.
///   - path: a safetensors file, or a folder of them as models have it.
///   - prefixes: pairs of what names begin with there and in the model; the longest that fits counts. `""` adds.
///   - isStrict: whether anything that is missing, without a place or of another shape is an error.
/// - Throws: `ModelError` with the report, if strict or if nothing at all was loaded.
public func loadPretrainedWeights(
  base: String, from path: String, prefixes: [(from: String, to: String)] = [], isStrict: Bool = true
) throws -> PretrainedWeights {
  let source = try WeightSource(path)
  let ordered = prefixes.sorted { $0.from.utf8.count > $1.from.utf8.count }
  let tensors = try source.names.map { name in
    let prefix = ordered.first { name.hasPrefix($0.from) }
    return (
      name: prefix.map { $0.to + name.dropFirst($0.from.count) } ?? name, tensor: try source.tensor(name)
    )
  }
  let weights = try PretrainedWeights(base: ModelFolder(path: base), tensors: tensors, file: path)
  guard !weights.report.matched.isEmpty else {
    let names = source.names.prefix(3).joined(separator: ", ")
    throw ModelError(
      file: path, "has no tensor of the model in \(base) (it has \(names) …); give prefixes that lead there")
  }
  guard weights.report.isWhole || !isStrict else {
    throw ModelError(
      file: path,
      "is not what the model in \(base) needs\n\(weights.report.text)\nload it leniently if that is meant")
  }
  return weights
}

/// A safetensors file, or a folder of them.
private struct WeightSource {
  let names: [String]
  private let read: (String) throws -> StoredTensor

  init(_ path: String) throws {
    if FileSystem.kind(path) == .folder {
      let store = try WeightStore(folder: path)
      names = store.names
      read = { try store.tensor($0) }
    } else {
      let file = try SafetensorsFile(path: path)
      names = file.names
      read = { try file.tensor($0) }
    }
  }

  func tensor(_ name: String) throws -> StoredTensor { try read(name) }
}
