import Dataset
import Foundation
import LanguageModel
import NestedLearning
import Tensors

/// A model folder ready to compute, with an adapter if there is one: what `nl-tool logits`, `generate`, `chat` and
/// `evaluate` work on.
public struct LoadedModel {
  public let model: TrainableModel
  public let tokenizer: Tokenizer
  let folder: String
  private let pool: ThreadPool
  /// Whether an adapter is in place.
  public let isAdapted: Bool
  /// What a user should be told of the model's folder, a line each.
  public let warnings: [String]

  /// - Parameter adapter: a folder in the form of mlx-lm or PEFT; nil for the base model by itself.
  /// - Parameter adapterScale: what the adapter's own scale is multiplied with, 0 or more. At 0 there is no adapter. Tensors
  ///   that it has in full, as `modules_to_save`, have no scale.
  /// - Parameter domain: of all texts, where the adapter's norms differ by domain; nil: norms are the base model's, but for
  ///   rows that name their domain.
  /// - Parameter threads: nil for one a core.
  /// - Throws: what is wrong with the folder, the weights, the tokenizer or the adapter.
  public init(
    folder path: String, adapter: String?, adapterScale: Double = 1, domain: String? = nil, threads: Int?
  ) throws {
    let adapter = adapterScale == 0 ? nil : adapter
    let folder = try ModelFolder(path: path)
    pool = try ThreadPool(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    let weights = try adapter.map {
      try AdapterReader.read(folder: $0, model: folder.configuration).scaled(by: adapterScale)
    }
    let base = try Tokenizer(modelFolder: path)
    let added = try adapter.map { try TokenizerWriter.tokens(addedIn: $0, to: base) } ?? []
    tokenizer = added.isEmpty ? base : try Tokenizer(modelFolder: path, adding: added)
    self.folder = path
    isAdapted = adapter != nil
    warnings = folder.warnings
    let model = try TrainableModel(
      folder: folder, trainable: .lora(weights?.specification ?? Self.neutral), pool: pool,
      replaced: weights?.replaced ?? [:])
    model.domain = try domain.map { try Self.number(ofDomain: $0, model.domains) }
    let adapted = weights.map { $0.tensors.merging($0.heads) { pair, _ in pair } } ?? [:]
    for (name, tensor) in adapted where name != TaskHead.weightsName {
      try tensor.values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    self.model = model
  }

  private static func number(ofDomain name: String, _ domains: Domains?) throws(ServiceError) -> Int {
    guard let domains, domains.adaptsNorms else {
      throw ServiceError(
        "there is no domain \(name): nothing of the model depends on domains",
        remedy: "leave it out, or give an adapter of a run with adaptation_norms")
    }
    let names = domains.names
    guard let number = names.firstIndex(of: name) else {
      throw ServiceError(
        "the adapter has no domain \(name)", remedy: "its domains are \(names.joined(separator: ", "))")
    }
    return number
  }

  /// The base model with new heads for tasks.
  package init(folder path: String, newHeads: [TaskDefinition], seed: UInt64, threads: Int?) throws {
    let folder = try ModelFolder(path: path)
    pool = try ThreadPool(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    tokenizer = try Tokenizer(modelFolder: path)
    self.folder = path
    (isAdapted, warnings) = (false, folder.warnings)
    var specification = Self.neutral
    specification.heads = newHeads.map(TaskHead.init)
    let model = try TrainableModel(folder: folder, trainable: .lora(specification), pool: pool)
    let heads = TrainableModel.freshHeads(
      configuration: folder.configuration, specification: specification, seed: seed)
    for (name, tensor) in heads {
      try tensor.values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    self.model = model
  }

  /// The model without its adapter, which has the same weights mapped.
  public func base() throws -> TrainableModel {
    try TrainableModel(
      folder: ModelFolder(path: folder), trainable: .lora(Self.neutral), pool: pool,
      scansForNonFinite: false)
  }

  /// An adapter whose matrices are zero, so that the base model computes as it is, from its mapped file.
  static let neutral = LoRASpecification(rank: 1, alpha: 1, targetModules: ["q_proj"], layers: [0])

  /// The tokens of a text as in training, without the EOS at its end.
  ///
  /// - Parameter option: the option that gave the text, for the error if it has no token.
  public func tokens(of text: String, option: String) throws -> [Int32] {
    let ids = try tokenizer.trainingIDs(text: text, maxLength: .max).dropLast()
    guard !ids.isEmpty else {
      throw ServiceError("\(option) has no token", remedy: "give a text that is not empty")
    }
    try check(ids)
    return Array(ids)
  }

  /// - Throws: what is the matter with a token that the embedding has no row for.
  func check(_ ids: some Sequence<Int32>) throws {
    try EmbeddingRows(tokenizer: tokenizer, model: model.configuration).check([TokenRow(ids: Array(ids))])
  }

  /// Writes logits, [tokens, vocabulary], to a safetensors file.
  public func write(logits: HostTensor, to path: String) throws {
    try SafetensorsWriter.write(["logits": logits], to: path)
  }
}

extension AdapterWeights {
  /// The same matrices with another scale.
  fileprivate func scaled(by factor: Double) -> AdapterWeights {
    guard factor != 1 else { return self }
    var scaled = self
    scaled.specification = specification.scaled(by: factor)
    return scaled
  }
}
