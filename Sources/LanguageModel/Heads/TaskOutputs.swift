import Kernels
import Tensors

/// What one task makes of some rows.
public struct TaskOutput: Sendable, Equatable {
  public let head: TaskHead
  /// Places of the batch: the last of each row for classification and language modelling, all for token classification.
  public let places: [Int32]
  /// Softmax over the labels, or the vocabulary, of each place: [places, labels].
  public let probabilities: HostTensor
}

extension TrainableModel {
  /// The heads of tasks that the model has, in the order in which rows number them.
  public var heads: [TaskHead] { tasks.heads }

  /// What some tasks, or all, make of a batch's rows in one pass through the transformer that they share.
  ///
  /// - Parameter numbers: of the tasks, each in ``heads``; nil for all.
  /// - Throws: `BatchError` if the batch has tokens that are in no vocabulary, or a task is not there.
  public func taskOutputs(_ batch: MicroBatch, tasks numbers: [Int]? = nil) throws -> [TaskOutput] {
    var batch = batch
    batch.labels = batch.tokens.map { _ in MicroBatch.ignored }
    batch.rowTasks = []
    batch.adversary = nil
    try batch.check(vocabulary: configuration.vocabularySize, domains: domains)
    guard zip(batch.offsets, batch.offsets.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw BatchError("a row has no tokens, so that there is nothing to tell of it")
    }
    let numbers = numbers ?? Array(tasks.modules.indices)
    guard numbers.allSatisfy(tasks.modules.indices.contains) else {
      throw BatchError(
        "the model has \(tasks.modules.count) heads, and none with one of the numbers \(numbers)")
    }
    let pass = try trainingPass(batch, dropout: nil)
    let hidden = try transformer.hidden(batch.tokens, pass)
    let last = batch.offsets.dropFirst().map { $0 - 1 }
    return try numbers.map { number in
      let module = tasks.modules[number]
      let places = module.head.kind == .tokenClassification ? batch.tokens.indices.map(Int32.init) : last
      let states = try transformer.normed(hidden, places: places, pass)
      let scores =
        try module.scores(states, places: places, pass) ?? tape.linear(states, transformer.head.matrix)
      return TaskOutput(head: module.head, places: places, probabilities: Self.softmax(scores.tensor))
    }
  }

  /// Of each row, in Double.
  private static func softmax(_ scores: Tensor) -> HostTensor {
    let n = scores.shape[1]
    var values = scores.values
    for row in 0..<scores.shape[0] {
      let range = row * n..<(row + 1) * n
      let most = Double(values[range].max() ?? 0)
      let shares = values[range].map { nl_exp(Double($0) - most) }
      let sum = shares.reduce(0, +)
      for (place, share) in zip(range, shares) { values[place] = Float(share / sum) }
    }
    return HostTensor(shape: scores.shape, values: values)
  }
}
