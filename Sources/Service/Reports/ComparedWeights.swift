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
  private let read: (String) throws -> [Float]

  func values(_ name: String) throws -> [Float] { try read(name) }

  /// - Parameters:
  ///   - path: a run, one of its checkpoints, an adapter in the form of mlx-lm or PEFT, or a model folder.
  ///   - model: the folder of an adapter's base model, where the adapter does not say it.
  /// - Throws: what is wrong with the folder, with the file that it is about.
  init(path: String, model: String?) throws {
    if RecordedRun.isOne(path) {
      let run = try RecordedRun(folder: path)
      let newest = try run.newestCheckpoint()
      try self.init(
        folder: newest.path, model: model, tiers: run.tiers, name: "\(path), step \(newest.step)")
      return
    }
    let above = FileSystem.folder(of: FileSystem.folder(of: FileSystem.absolute(path)))
    let tiers = RecordedRun.isOne(above) ? try RecordedRun(folder: above).tiers : []
    try self.init(folder: path, model: model, tiers: tiers, name: path)
  }

  /// What a run started from.
  init(startOf folder: String) throws {
    let run = try RecordedRun(folder: folder)
    let model = try TrainedModel(config: run.config)
    let values = try model.initialValues()
    if case .lora(let specification) = model.trainable { adapter = specification } else { adapter = nil }
    name = "the start of \(folder)"
    shapes = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.shape) })
    tiers = run.tiers
    read = { values[$0] ?? [] }
  }

  private init(folder: String, model: String?, tiers: [Tier], name: String) throws {
    self.name = name
    self.tiers = tiers
    guard FileSystem.kind(folder + "/adapter_config.json") == .file else {
      let weights = try ModelFolder(path: folder).weights
      adapter = nil
      shapes = try Dictionary(uniqueKeysWithValues: weights.names.map { ($0, try weights.tensor($0).shape) })
      read = { try weights.tensor($0).floats() }
      return
    }
    let base = try model ?? Self.baseModel(of: folder)
    let loaded = try AdapterReader.read(folder: folder, model: ModelFolder(path: base).configuration)
    let tensors = loaded.tensors.merging(loaded.replaced) { pair, _ in pair }
    adapter = loaded.specification
    shapes = tensors.mapValues(\.shape)
    read = { tensors[$0]?.values ?? [] }
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
