import Coordination
import NestedLearning
import WireProtocol

/// The state of a run as it was read from its last snapshot, with what the ledger knows beyond it.
package struct RestoredRun: Sendable {
  package let progress: RunProgress
  /// Every tier's parameters.
  package let tiers: [TierValues]
  /// The slower copies of `tier_mode: consolidate`, and the values of the slowest, which evaluations are of.
  package let copies: [CopyState]
  package let slowestCopy: TierValues?
  /// The last step that is committed.
  package let lastStep: Int
  /// By step: losses of evaluations that are recorded and come after the snapshot, or with it.
  package let evaluations: [Int: Double]
  /// By step: the tasks that these have found to be the worst, where steps follow that.
  package let worstTasks: [Int: Int]
  /// Of these, what they came to where right tokens were counted.
  package let accuracies: [EvaluatedAccuracy]
  /// Identities in quarantine that still have unverified results in the record.
  package let toUndo: [String]
  /// By step that is to be computed again: what of it was whose, if that was asked for; nothing of steps that a program
  /// before this one has committed.
  package let shards: [Int: [ComputedShard]]

  package init(
    progress: RunProgress, tiers: [TierValues], copies: [CopyState] = [], slowestCopy: TierValues? = nil,
    lastStep: Int, evaluations: [Int: Double], worstTasks: [Int: Int] = [:],
    accuracies: [EvaluatedAccuracy] = [], toUndo: [String],
    shards: [Int: [ComputedShard]] = [:]
  ) {
    self.worstTasks = worstTasks
    self.progress = progress
    self.tiers = tiers
    self.copies = copies
    self.slowestCopy = slowestCopy
    self.lastStep = lastStep
    self.evaluations = evaluations
    self.accuracies = accuracies
    self.toUndo = toUndo
    self.shards = shards
  }
}

/// What keeps a write from being made, for a time.
package enum WaitCause: String, Sendable {
  /// The volume is full, broken or gone.
  case disk
  /// Another program holds the ledger.
  case ledger

  /// With its article, for people.
  var name: String { "the \(rawValue)" }
}

/// Why something was not written.
package enum WriteFailure: Sendable {
  /// Why the same write may succeed later, of this cause.
  case mayPass(WaitCause, String)
  /// A step that was committed before has come out otherwise now; this is the digest that it was committed with.
  case differs(step: Int, recorded: String)
  /// Anything else; it ends the run.
  case other(any Error)
}

/// Everything that can happen to a run.
package enum RunEvent: Sendable {
  /// The state is that of the last snapshot: after `restore`.
  case restored(RestoredRun)
  /// It could not be read.
  case restoreFailed(any Error)

  /// The open unit is computed; its results with their bytes, each (node, tiers) once.
  case unitComplete(CompletedUnit, [UnitResult])
  /// After `hurry`: nobody is there to compute the open unit, which is closed.
  case unitLeft(WorkUnit)
  /// After `completeWindows`: nothing is missing. Parameters before `oldestStep` are not needed any more.
  case windowsComplete(oldestStep: Int)
  /// After `completeWindows`: a gradient is lost, and the parameters of its step are not kept any more.
  case windowsLost
  /// A worker is in quarantine.
  case quarantined(workerID: Int, identity: String, reason: String)
  /// The open unit cannot be computed.
  case unitFailed(reason: String)
  /// A hand-out is over.
  case attemptEnded(EndedAttempt)
  /// A worker came or went.
  case worker(WorkerNews)
  /// Parameters, or partial sums to go on from, went to a worker.
  case sent(SentBytes)
  /// After `drain`: the workers are gone.
  case drained

  /// The engine has taken the results of the last `keep`.
  case kept
  /// What the engine has to say on each audit of the last `audit(.judge)`.
  case judged([PartialSumAudit.Verdict])
  /// The engine has applied the step, or passed it over.
  case applied(AppliedStep)
  /// After `adopt`.
  case adopted
  /// The engine cannot go on.
  case engineFailed(any Error)

  /// A write is on the disk.
  case written(RunWrite.ID, RunWriteOutcome)
  case writeFailed(RunWrite.ID, WriteFailure)
  /// After `reopenLedger`.
  case reopened
  case reopenFailed(WriteFailure)

  /// The user, or the system, wants the run to stop between two steps; at `deadline` without the step in hand.
  case stop(deadline: Instant)
  /// The run is to rest between two steps, with everything written down.
  case pause
  case resume
  /// The time that was asked for by `armTimer` has come.
  case timer
}

/// A worker that came or went, for the ledger.
package enum WorkerNews: Sendable {
  /// It was welcomed, with this key if it has one.
  case joined(workerID: Int, Hello, key: String?, at: Instant)
  case left(workerID: Int, reason: String, at: Instant)
  case quarantined(workerID: Int, identity: String, reason: String, at: Instant)
}

/// Bytes that went to a worker.
package struct SentBytes: Sendable {
  package enum Kind: Sendable { case parameters, partialSums }

  package let kind: Kind
  package let tier: Int
  package let count: Int

  package init(_ kind: Kind, tier: Int, count: Int) {
    self.kind = kind
    self.tier = tier
    self.count = count
  }
}
