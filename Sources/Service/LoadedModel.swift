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
  /// What a user should be told of the model's folder, a line each.
  public let warnings: [String]

  /// - Parameter adapter: a folder in the form of mlx-lm or PEFT; nil for the base model by itself.
  /// - Parameter threads: nil for one a core.
  /// - Throws: what is wrong with the folder, the weights, the tokenizer or the adapter.
  public init(folder path: String, adapter: String?, threads: Int?) throws {
    let folder = try ModelFolder(path: path)
    let pool = try ThreadPool(threads: threads ?? ProcessInfo.processInfo.activeProcessorCount)
    let weights = try adapter.map { try AdapterReader.read(folder: $0, model: folder.configuration) }
    tokenizer = try Tokenizer(modelFolder: path)
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
    try EmbeddingRows(tokenizer: tokenizer, model: model.configuration).check([Array(ids)])
    return Array(ids)
  }

  /// Writes logits, [tokens, vocabulary], to a safetensors file.
  public func write(logits: HostTensor, to path: String) throws {
    try SafetensorsWriter.write(["logits": logits], to: path)
  }

  /// The loss on a file of rows.
  ///
  /// - Parameter maxSequenceLength: nil: 512, or as many as the model has positions if these are fewer.
  public func evaluate(
    data path: String, batchSize: Int, maxSequenceLength: Int?, longRows: LongRows = .cut
  ) throws -> Evaluation {
    let positions = model.configuration.maxPositions
    if let length = maxSequenceLength, length > positions {
      throw ServiceError(
        "--max-seq-length is \(length), but the model has \(positions) positions (max_position_embeddings)",
        remedy: "give \(positions) or less")
    }
    let read = try TokenRows(
      file: FileSystem.expandingTilde(path), encoder: tokenizer,
      maxLength: maxSequenceLength ?? min(512, positions), skipUnusable: false, longRows: longRows)
    let rows = read.rows
    try EmbeddingRows(tokenizer: tokenizer, model: model.configuration).check(rows)
    var losses: [Double] = []
    var tokens = 0
    for start in stride(from: 0, to: rows.count, by: batchSize) {
      let batch = MicroBatch(rows: Array(rows[start..<min(start + batchSize, rows.count)]))
      losses.append(try model.evaluate(batch))
      tokens += batch.trainedTokens
    }
    let sum = try ReductionTree.reduce(losses, add: { $0 += $1 })
    return Evaluation(loss: sum / Double(tokens), tokens: tokens, rows: rows.count, long: read.long)
  }
}
