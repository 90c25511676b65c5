import Coordination
import WireProtocol

/// The data of a run. The same place gives the same micro-batch, whenever and however often it is asked for.
package protocol BatchSource: Sendable {
  /// The micro-batches of a step (1-based), in the order of their numbers.
  func microBatches(step: Int) -> [AssignedMicroBatch]
  /// The micro-batches of an evaluation, in the order of their numbers.
  func evaluationBatches() -> [AssignedMicroBatch]
}

/// The micro-batches of one step or evaluation, and the number of their trained tokens.
package struct UnitBatches: Sendable {
  package let microBatches: [AssignedMicroBatch]
  package let trainedTokens: Int

  package init(_ microBatches: [AssignedMicroBatch]) {
    self.microBatches = microBatches
    trainedTokens = microBatches.reduce(0) { $0 + $1.trainedTokens }
  }
}

extension AssignedMicroBatch {
  /// Tokens that have a label.
  package var trainedTokens: Int { labels.reduce(0) { $1 == -100 ? $0 : $0 + 1 } }
}

/// The data of the open unit, and of earlier steps that are computed again meanwhile. What is here is only a copy of
/// what the source gives.
struct BatchCache: Sendable {
  private let source: any BatchSource
  /// `steps`: at most `limit` of them, the oldest goes first.
  private var steps: [(step: Int, batches: UnitBatches)] = []
  private var evaluation: UnitBatches?
  private static let limit = 64

  init(_ source: any BatchSource) { self.source = source }

  mutating func batches(step: Int) -> UnitBatches {
    if let known = steps.last(where: { $0.step == step }) { return known.batches }
    let batches = UnitBatches(source.microBatches(step: step))
    if steps.count >= Self.limit { steps.removeFirst() }
    steps.append((step, batches))
    return batches
  }

  mutating func evaluationBatches() -> UnitBatches {
    if let evaluation { return evaluation }
    let batches = UnitBatches(source.evaluationBatches())
    evaluation = batches
    return batches
  }

  /// Drops everything but the data of this step.
  mutating func keepOnly(step: Int) {
    steps.removeAll { $0.step != step }
    evaluation = nil
  }
}
