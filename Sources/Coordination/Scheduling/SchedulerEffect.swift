import NestedLearning
import WireProtocol

/// A result that counts: whose bytes are where.
public struct CountedResult: Sendable, Hashable {
  public let shard: Shard
  /// The step that it belongs to.
  public let step: Int
  /// The attempt under which the bytes were kept.
  public let attempt: Int
  /// The worker that sent them, and whose it is.
  public let workerID: Int
  public let identity: String
  /// What the ledger keeps of it for ever.
  public let digest: ShardDigest

  public init(
    shard: Shard, step: Int, attempt: Int, workerID: Int, identity: String, digest: ShardDigest
  ) {
    self.shard = shard
    self.step = step
    self.attempt = attempt
    self.workerID = workerID
    self.identity = identity
    self.digest = digest
  }
}

/// A unit that is computed.
public struct CompletedUnit: Sendable, Hashable {
  public let unit: WorkUnit
  /// Sum of the losses of all trained tokens, added by the fixed tree.
  public let lossSum: Double
  /// The sums of the run's objective, added in the same way; nil without one.
  public var terms: ObjectiveTerms?
  /// Trained tokens.
  public let tokens: Int
  /// Of them, in an evaluation that wants it, those that were right.
  public var correct: Int?
  /// Every (node, tiers) once, ordered by first micro-batch, then first tier.
  public let results: [CountedResult]
  /// Chains among them that are to be checked before they are used.
  public var audits: [WindowAudit] = []
}

/// What is to be done for a run. Effects are to be carried out in their order: what must be kept or recorded, what is
/// sent, what the unit came to.
public enum SchedulerEffect: Sendable, Hashable {
  /// Keep the bytes of the result that has just come, under this attempt. `makesRoom`: others wait for the room that there
  /// is once they are added up, which is to be told by `RunRequest.added`, as soon as it is so.
  case keepPayload(attempt: Int, of: Shard, in: WorkUnit, makesRoom: Bool)
  /// Drop kept bytes that will not be needed.
  case discardPayload(attempt: Int)
  /// For the ledger, with the next commit.
  case record(EndedAttempt)
  /// A worker is to work on the run, under this number: send ENTER_RUN.
  case enterRun(peer: PeerID, session: SessionID, workerID: Int)
  /// Send PROBE.
  case probe(peer: PeerID, session: SessionID)
  /// Send REJECT; the peer is not known from now on.
  case reject(peer: PeerID, code: RejectCode, reason: String)
  /// Send PARAMETERS.
  case sendParameters(peer: PeerID, session: SessionID, tier: Int, version: Int)
  /// Send WINDOW, with these chains through a step.
  case sendWindow(peer: PeerID, session: SessionID, [WindowKey], through: Int)
  /// Send ASSIGN.
  case assign(peer: PeerID, session: SessionID, Assignment)
  /// Let the result that was offered for this attempt come.
  case credit(peer: PeerID, session: SessionID, attempt: Int)
  /// Refuse it; what has come of it is to be dropped.
  case refuse(peer: PeerID, session: SessionID, attempt: Int, outcome: ResultOutcome)
  /// Send CANCEL.
  case cancel(peer: PeerID, session: SessionID, attempt: Int)
  /// A worker, and whoever comes in its name later, is not trusted any more: keep that for ever.
  case quarantine(workerID: Int, identity: String, reason: String)
  /// Answer RESULT_ACK.
  case acknowledge(peer: PeerID, session: SessionID, attempt: Int, outcome: ResultOutcome)
  /// A worker takes work from now on.
  case workerReady(workerID: Int)
  /// A worker does not work on the run any more, for this reason. `isDismissed`: the fleet is to let it go as well.
  case workerLeft(workerID: Int, peer: PeerID, reason: String, isDismissed: Bool)
  /// Worth a line in the log.
  case log(String)
  /// The unit is computed.
  case unitComplete(CompletedUnit)
  /// After `hurry`: nobody is there to compute the open unit, which is closed without an outcome.
  case unitLeft(WorkUnit)
  /// Windows lack nothing of what was asked for. Parameters of steps before this one are not needed any more.
  case windowsComplete(oldestStep: Int)
  /// Windows lack a gradient of a step whose parameters are not kept.
  case windowsLost
  /// After `close`: no worker has anything to do with the run any more.
  case drained
  /// The run cannot go on.
  case fail(reason: String)
}
