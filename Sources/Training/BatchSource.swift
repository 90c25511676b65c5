import Coordination
import NestedLearning
import WireProtocol

/// The data of a run. The same place gives the same micro-batch, whenever and however often it is asked for.
package protocol BatchSource: Sendable {
  /// The micro-batches of a step (1-based), in the order of their numbers.
  func microBatches(step: Int) -> [AssignedMicroBatch]
  /// The same, where what is taken follows the evaluations before the step.
  ///
  /// - Parameter followed: of the run; what is later than the step counts for nothing
  func microBatches(step: Int, after followed: FollowedEvaluations) -> [AssignedMicroBatch]
  /// How the rows of a step are taken; nil where nothing goes by how difficult they are.
  func sampling(step: Int, after followed: FollowedEvaluations) -> StepSampling?
  /// Trained tokens of each micro-batch of an evaluation, in the order of their numbers.
  func evaluationTokens() -> [Int]
  /// A micro-batch of an evaluation, by its number.
  func evaluationBatch(_ number: Int) -> AssignedMicroBatch
}

extension BatchSource {
  package func microBatches(step: Int, after followed: FollowedEvaluations) -> [AssignedMicroBatch] {
    microBatches(step: step)
  }

  package func sampling(step: Int, after followed: FollowedEvaluations) -> StepSampling? { nil }
}

/// The micro-batches of one step, and the number of their trained tokens.
package struct UnitBatches: Sendable {
  package let microBatches: [AssignedMicroBatch]
  package let trainedTokens: Int
  /// Of them those of replayed rows.
  package let replayedTokens: Int

  package init(_ microBatches: [AssignedMicroBatch]) {
    self.microBatches = microBatches
    trainedTokens = microBatches.reduce(0) { $0 + $1.trainedTokens }
    replayedTokens = microBatches.reduce(0) { $0 + $1.replayedTokens }
  }
}

extension AssignedMicroBatch {
  /// Tokens that have a label.
  package var trainedTokens: Int { labels.reduce(0) { $1 == -100 ? $0 : $0 + 1 } }
  /// Of them those of replayed rows.
  package var replayedTokens: Int {
    replayedRows.reduce(0) { sum, row in
      labels[Int(offsets[row])..<Int(offsets[row + 1])].reduce(sum) { $1 == -100 ? $0 : $0 + 1 }
    }
  }
}

/// The data of the open unit, and of earlier steps that are computed again meanwhile. What is here is only a copy of
/// what the source gives. Of an evaluation there are only numbers of tokens: its micro-batches, which may be as many as the
/// disk holds, are made for the message that takes them to a worker.
struct BatchCache: Sendable {
  private let source: any BatchSource
  /// `steps`: at most `limit` of them, the oldest goes first.
  private var steps: [(step: Int, batches: UnitBatches)] = []
  private var evaluation: (tokens: [Int], sum: Int)?
  /// What evaluations have found so far.
  var followed = FollowedEvaluations() {
    // A run that goes back may come to other evaluations, and to other steps.
    didSet { if !followed.continues(oldValue) { steps = [] } }
  }
  private static let limit = 64

  init(_ source: any BatchSource) { self.source = source }

  mutating func batches(step: Int) -> UnitBatches {
    if let known = steps.last(where: { $0.step == step }) { return known.batches }
    let batches = UnitBatches(source.microBatches(step: step, after: followed))
    if steps.count >= Self.limit { steps.removeFirst() }
    steps.append((step, batches))
    return batches
  }

  /// Trained tokens of each micro-batch of an evaluation, and of all together.
  mutating func evaluationTokens() -> (tokens: [Int], sum: Int) {
    if let evaluation { return evaluation }
    let tokens = source.evaluationTokens()
    let counted = (tokens: tokens, sum: tokens.reduce(0, +))
    evaluation = counted
    return counted
  }

  /// Trained tokens of a unit's step or evaluation.
  mutating func trainedTokens(of unit: WorkUnit) -> Int {
    unit.purpose == .evaluate ? evaluationTokens().sum : batches(step: unit.step).trainedTokens
  }

  /// Those micro-batches of a unit's step or evaluation that are among the numbers.
  mutating func microBatches(of unit: WorkUnit, _ numbers: Range<Int>) -> [AssignedMicroBatch] {
    if unit.purpose == .evaluate {
      return numbers.clamped(to: 0..<evaluationTokens().tokens.count).map(source.evaluationBatch)
    }
    let all = batches(step: unit.step).microBatches
    return Array(all[numbers.clamped(to: all.indices)])
  }

  /// How the rows of a step are taken.
  func sampling(step: Int) -> StepSampling? { source.sampling(step: step, after: followed) }

  /// Drops everything: the run goes on from an earlier state.
  mutating func restart() { (steps, evaluation) = ([], nil) }

  /// Drops everything but the data of this step.
  mutating func keepOnly(step: Int) {
    steps.removeAll { $0.step != step }
    evaluation = nil
  }
}
