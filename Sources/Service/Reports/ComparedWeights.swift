import Files
import Foundation
import JSON
import LanguageModel
import NestedLearning

/// One side of a comparison: the adapter or the model in a folder.
struct ComparedWeights {
  /// Where they are from, for people.
  let name: String
  /// Of the adapter's pairs; nil for a whole model.
  let adapter: LoRASpecification?
  /// The shape of each tensor, by its name in the model.
  let shapes: [String: [Int]]
  /// By tier the names of its parameters, if the folder's run or checkpoint says so.
  let tiers: [Tier]
  /// Some of a tensor's numbers, row-major.
  private let read: (_ name: String, Range<Int>) throws -> [Float]

  /// Takes a tensor's numbers in order, a few at a time: a whole model's may be more than memory holds twice.
  func forEachPart(of name: String, _ take: (Range<Int>, [Float]) throws -> Void) throws {
    let count = (shapes[name] ?? [0]).reduce(1, *)
    for start in stride(from: 0, to: count, by: 1 << 20) {
      let range = start..<min(count, start + 1 << 20)
      try take(range, read(name, range))
    }
  }

  /// All of a tensor's numbers; for those of adapters.
  func values(_ name: String) throws -> [Float] { try read(name, 0..<(shapes[name] ?? [0]).reduce(1, *)) }

  func values(_ name: String, in range: Range<Int>) throws -> [Float] { try read(name, range) }

  private static func reader(_ tensors: [String: [Float]]) -> (String, Range<Int>) -> [Float] {
    { name, range in (tensors[name] ?? [])[range].map { $0 } }
  }

  /// - Parameters:
  ///   - path: a run, one of its checkpoints, an adapter in the form of mlx-lm or PEFT, or a model folder.
  ///   - model: the folder of an adapter's base model, where the adapter does not say it.
  /// - Throws: what is wrong with the folder, with the file that it is about.
  init(path: String, model: String?) throws {
    if RecordedRun.isOne(path) {
      let run = try RecordedRun(folder: path)
      let newest = try run.newestCheckpoint()
      try self.init(
        folder: newest.path, model: model, tiers: run.dividedTiers, name: "\(path), step \(newest.step)")
      return
    }
    let above = FileSystem.folder(of: FileSystem.folder(of: FileSystem.absolute(path)))
    let tiers = RecordedRun.isOne(above) ? try RecordedRun(folder: above).dividedTiers : []
    try self.init(folder: path, model: model, tiers: tiers, name: path)
  }

  /// What a run started from.
  init(startOf folder: String) throws {
    let run = try RecordedRun(folder: folder)
    let model = try TrainedModel(config: run.config.undivided)
    let values = try model.initialValues()
    if case .lora(let specification) = model.trainable { adapter = specification } else { adapter = nil }
    name = "the start of \(folder)"
    shapes = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.shape) })
    tiers = run.dividedTiers
    read = Self.reader(values)
  }

  private init(folder: String, model: String?, tiers: [Tier], name: String) throws {
    self.name = name
    self.tiers = tiers
    guard FileSystem.kind(folder + "/adapter_config.json") == .file else {
      let model = try ModelFolder(path: folder)
      adapter = nil
      shapes = Dictionary(uniqueKeysWithValues: model.configuration.tensors.map { ($0.name, $0.shape) })
      read = { try model.weights.tensor($0).floats(in: $1) }
      return
    }
    let base = try model ?? Self.baseModel(of: folder)
    let loaded = try AdapterReader.read(folder: folder, model: ModelFolder(path: base).configuration)
    let tensors = loaded.tensors.merging(loaded.replaced) { pair, _ in pair }
    adapter = loaded.specification
    shapes = tensors.mapValues(\.shape)
    read = Self.reader(tensors.mapValues(\.values))
  }

  /// The base model of an adapter, as the checkpoint's metadata or the adapter's config names it.
  private static func baseModel(of folder: String) throws -> String {
    func member(_ file: String, _ path: [String]) -> String? {
      guard let bytes = try? AtomicFile.read(folder + "/" + file), let json = try? JSONValue(parsing: bytes)
      else {
        return nil
      }
      return path.reduce(Optional(json)) { value, key in value.flatMap { $0[key] } }?.string
    }
    let named =
      member("metadata.json", ["config", "base_model_path"]) ?? member("adapter_config.json", ["model"])
      ?? member("adapter_config.json", ["base_model_name_or_path"])
    guard let named, FileSystem.kind(named + "/config.json") == .file else {
      throw ServiceError(
        "the base model of the adapter in \(folder) is not at \(named ?? "any path that it names")",
        remedy: "give its folder as --model")
    }
    return named
  }
}
