import Coordination
import NestedLearning
import WireProtocol

/// What is to be written, all of it or nothing; only when it is on the disk does the run go on, and is anything sent
/// that depends on it.
package struct RunWrite: Sendable, Identifiable {
  package typealias ID = Int

  package enum Content: Sendable {
    /// All tiers as they are, and their slower copies.
    case tiers([TierValues], [CopyState])
    /// A new step.
    case step(CommittedStep)
    /// A step that was committed before, and must have come out the same.
    case replayedStep(AppliedStep)
    case evaluation(EvaluationOutcome)
    /// - Parameter isReplay: a checkpoint of this kind may be there already, of this step or a later one.
    case checkpoint(CheckpointKind, RunProgress, isReplay: Bool)
    /// - Parameter withDigest: with the digest of the whole state, for whoever looks.
    case snapshot(RunProgress, withDigest: Bool)
    /// Makes void what these identities did as far as nobody else came to the same, and everything after it; and, if
    /// a step is given, everything from the last snapshot before that step on.
    case rollback(identities: [String], before: Int? = nil)
    /// How the run has ended.
    case end(RunEnding)
    /// Nothing but what comes along.
    case nothing
  }

  package let id: ID
  package let content: Content
  /// Hand-outs that are over, and workers that came and went, since the last write that took them along.
  package let attempts: [EndedAttempt]
  package let workers: [WorkerNews]
  /// Whether it, or some of what it takes along, has been tried before: what is done already is not to be done twice.
  package internal(set) var isRepeated = false

  /// What is being done, for people.
  package var doing: String {
    switch content {
    case .tiers: "recording the tiers"
    case .step(let step): "committing step \(step.applied.step)"
    case .replayedStep(let step): "recording who computed step \(step.step) again"
    case .evaluation(let evaluation): "recording the evaluation after step \(evaluation.step)"
    case .checkpoint(let kind, _, _): "writing the checkpoint \(kind.name)"
    case .snapshot(let progress, _): "writing the snapshot after step \(progress.step)"
    case .rollback: "going back"
    case .end: "recording the end of the run"
    case .nothing: "recording who came and went"
    }
  }
}

/// A step that is applied, for the ledger and the metrics.
package struct CommittedStep: Sendable {
  package let applied: AppliedStep
  /// From handing it out to having applied it.
  package let seconds: Double
  /// Spent on snapshots since the last committed step.
  package let snapshotSeconds: Double
  /// Since the last committed step.
  package let traffic: Traffic
  /// Who computed what of it: kept for ever, to find out later whose result was wrong.
  package let shards: [CountedResult]
  /// What was said of the way through the layers, and of partial sums, for each of the shards.
  package let traces: [ShardTraceRecord]
}

/// What a counted result says beyond what it counts for: by it the first fault of a step that is computed again is found.
package struct ShardTraceRecord: Sendable {
  package let layers: LayerDigests?
  /// The partial sums that its worker keeps, with the SHA-256 of each.
  package let partialSums: [(key: WindowKey, sha256: String)]
  /// By tier, the SHA-256 of the sum over the node that came of a window.
  package let windowSums: [(tier: Int, sha256: String)]

  package init(_ result: ResultMessage) {
    layers = result.layers
    partialSums = result.windows.compactMap { report in
      report.chain.map { (WindowKey(tier: report.tier, microBatch: report.microBatch), $0) }
    }
    windowSums =
      result.windows.isEmpty
      ? [] : result.gradients.filter { $0.microBatch == nil }.map { ($0.tier, $0.values.sha256) }
  }
}

/// What an evaluation came to.
package struct EvaluationOutcome: Sendable {
  /// After which it took place.
  package let step: Int
  /// Mean loss in nats over `tokens`.
  package let loss: Double
  package let tokens: Int
  /// Whether it is the lowest of the run so far.
  package let isBest: Bool
  package let seconds: Double
  /// Where tasks share the transformer: of each.
  package var tasks: [NamedTaskSums] = []
  /// How many tokens were right, if that was counted.
  package var correct: Int?
  /// The tier plan that it has led to, if that is another.
  package var plan: TierPlan?

  /// What a curriculum follows of it.
  var accuracy: EvaluatedAccuracy? {
    correct.map { EvaluatedAccuracy(step: step, correct: $0, tokens: tokens) }
  }
}

/// What an evaluation came to for one task.
package struct NamedTaskSums: Sendable {
  package let name: String
  package let sums: TaskSums

  package init(name: String, sums: TaskSums) { (self.name, self.sums) = (name, sums) }
}

/// How a run's process is done with it.
package enum RunEnding: Sendable {
  case completed
  case stoppedEarly
  /// By the user; the run can be resumed.
  case stopped
  case failed(any Error)
}

package enum RunWriteOutcome: Sendable {
  case done
  /// - Parameters:
  ///   - rollbacks: a line for each, for people.
  ///   - lastStep: the last that is committed now.
  case rolledBack([String], lastStep: Int)
}
