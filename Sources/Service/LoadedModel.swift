import Dataset
import Files
import Foundation
import LanguageModel
import NestedLearning
import Tensors

/// A model folder ready to compute, with an adapter if there is one: what `nl-tool logits`, `generate` and `evaluate`
/// work on.
public struct LoadedModel {
  public let model: TrainableModel
  public let tokenizer: Tokenizer
  private let folder: String
  /// What a user should be told of the model's folder, a line each.
  public let warnings: [String]

  /// - Parameter adapter: a folder in the form of mlx-lm or PEFT; nil for the base model by itself.
  /// - Parameter adapterScale: what the adapter's own scale is multiplied with, 0 or more. At 0 there is no adapter. Tensors
  ///   that it has in full, as `modules_to_save`, have no scale.
  /// - Parameter threads: nil for one a core.
  /// - Throws: what is wrong with the folder, the weights, the tokenizer or the adapter.
  public init(folder path: String, adapter: String?, adapterScale: Double = 1, threads: Int?) throws {
    let adapter = adapterScale == 0 ? nil : adapter
    let folder = try ModelFolder(path: path)
    let pool = try ThreadPool(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    let weights = try adapter.map {
      try AdapterReader.read(folder: $0, model: folder.configuration).scaled(by: adapterScale)
    }
    let base = try Tokenizer(modelFolder: path)
    let added = try adapter.map { try TokenizerWriter.tokens(addedIn: $0, to: base) } ?? []
    tokenizer = added.isEmpty ? base : try Tokenizer(modelFolder: path, adding: added)
    self.folder = path
    warnings = folder.warnings
    let model = try TrainableModel(
      folder: folder, trainable: .lora(weights?.specification ?? Self.neutral), pool: pool,
      replaced: weights?.replaced ?? [:])
    for (name, tensor) in weights?.tensors ?? [:] {
      try tensor.values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    self.model = model
  }

  /// An adapter whose matrices are zero, so that the base model computes as it is, from its mapped file.
  private static let neutral = LoRASpecification(rank: 1, alpha: 1, targetModules: ["q_proj"], layers: [0])

  /// The tokens of a text as in training, without the EOS at its end.
  ///
  /// - Parameter option: the option that gave the text, for the error if it has no token.
  public func tokens(of text: String, option: String) throws -> [Int32] {
    let ids = try tokenizer.trainingIDs(text: text, maxLength: .max).dropLast()
    guard !ids.isEmpty else {
      throw ServiceError("\(option) has no token", remedy: "give a text that is not empty")
    }
    try EmbeddingRows(tokenizer: tokenizer, model: model.configuration).check([TokenRow(ids: Array(ids))])
    return Array(ids)
  }

  /// Writes logits, [tokens, vocabulary], to a safetensors file.
  public func write(logits: HostTensor, to path: String) throws {
    try SafetensorsWriter.write(["logits": logits], to: path)
  }

  /// The loss on a file of rows.
  ///
  /// - Parameters:
  ///   - path: a file, or a folder with a test or valid file.
  ///   - maxSequenceLength: nil: 512, or as many as the model has positions if these are fewer.
  ///   - date: what chat templates see, as `2026-11-29`; nil: today.
  public func evaluate(
    data path: String, batchSize: Int, maxSequenceLength: Int?, longRows: LongRows = .cut,
    trainOn: TrainOn = .completions, packing: Bool = false, date: String? = nil,
    progress: ((TokenizingProgress) -> Void)? = nil
  ) throws -> Evaluation {
    let positions = model.configuration.maxPositions
    if let length = maxSequenceLength, length > positions {
      throw ServiceError(
        "--max-seq-length is \(length), but the model has \(positions) positions (max_position_embeddings)",
        remedy: "give \(positions) or less")
    }
    let maxLength = maxSequenceLength ?? min(512, positions)
    let encoding = try RowEncoding(tokenizer: tokenizer, folder: folder, trainOn: trainOn, date: date)
    let options = RowOptions(maxLength: maxLength, longRows: longRows)
    let read = try Self.files(FileSystem.absolute(path)).map {
      try TokenRows(
        file: $0, encoder: encoding.encoder, options: options, cache: encoding.cache, progress: progress)
    }
    let rows = RowSet(joining: read.map(\.rows))
    try EmbeddingRows(tokenizer: tokenizer, model: model.configuration).check(rows)
    var losses: [Double] = []
    var tokens = 0
    let ranges = TrainingData.evaluationRanges(
      rows, batchSize: batchSize, packLength: packing ? maxLength : nil)
    for range in ranges {
      let batch = MicroBatch(rows: range.map { rows[$0] })
      losses.append(try model.evaluate(batch))
      tokens += batch.trainedTokens
    }
    let sum = try ReductionTree.reduce(losses, add: { $0 += $1 })
    return Evaluation(
      loss: sum / Double(tokens), tokens: tokens, rows: rows.count, reports: read.map(\.report))
  }

  /// Of a folder its test files, else its valid files.
  private static func files(_ path: String) throws(DataError) -> [String] {
    do throws(DataError) { return try DataFiles.files(path, .test) } catch {
      return try DataFiles.files(path, .valid)
    }
  }
}

extension AdapterWeights {
  /// The same matrices with another scale.
  fileprivate func scaled(by factor: Double) -> AdapterWeights {
    guard factor != 1 else { return self }
    var scaled = self
    scaled.specification.alpha *= factor
    scaled.specification.alphas = specification.alphas.mapValues { $0 * factor }
    return scaled
  }
}
