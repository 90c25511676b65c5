import WireProtocol

/// What a worker says of its work in a run.
public enum WorkerReport: Sendable {
  /// READY.
  case ready(Ready)
  /// PROBE_RESULT.
  case probed(sha256: String)
  /// ACCEPT.
  case accepted(attempt: Int)
  /// DECLINE.
  case declined(attempt: Int, reason: String)
  /// LEASE_RENEW: so many steps of the attempt are done.
  case renewed(attempt: Int, progress: Int)
  /// CANCELLED.
  case cancelled(attempt: Int)
  /// Bytes of something large went to a worker or came from it, for an attempt if it is known for which.
  case moved(attempt: Int?)
  /// MODEL_CREDIT: the worker is fetching the base model, or waits while another on its machine does.
  case fetched(ModelFetchState)
  /// A result was offered whose bytes are worth sending, as far as `verdict` can tell. It is to be held until the effects
  /// hold `credit` or `refuse` for it.
  case offered(ResultSummary)
  /// RESULT. If the effects hold `keepPayload` for its attempt, its bytes are to be kept, otherwise dropped.
  case result(ResultSummary)
  /// ERROR: for an attempt, or, without one, for the worker as a whole. `isNotFinite`: the attempt has come to a number
  /// that is not finite, and the reason says to which.
  case error(attempt: Int?, reason: String, isNotFinite: Bool = false)

  /// What a worker's message says of its work in a run; nil if it says nothing of it.
  public init?(_ message: Message) {
    switch message {
    case .ready(let ready): self = .ready(ready)
    case .probeResult(let result): self = .probed(sha256: result.sha256)
    case .accept(let accept): self = .accepted(attempt: accept.attempt)
    case .decline(let decline): self = .declined(attempt: decline.attempt, reason: decline.reason)
    case .leaseRenew(let renew): self = .renewed(attempt: renew.attempt, progress: renew.progress)
    case .cancelled(let cancelled): self = .cancelled(attempt: cancelled.attempt)
    case .transfer: self = .moved(attempt: nil)
    case .result(let result): self = .result(ResultSummary(result))
    case .error(let error):
      self = .error(attempt: error.attempt, reason: error.reason, isNotFinite: error.code == .notFinite)
    default: return nil
    }
  }
}

/// What a run wants computed, and tells of what it has.
public enum RunRequest: Sendable {
  /// Tiers have new parameters (all tiers, at the start). Only while no unit is open.
  case parametersChanged([Int: TierVersion])
  /// What is here of windows, at the start and after a return; all that workers keep is void. Only while no unit is
  /// open.
  case windows(WindowTracker?)
  /// A tier plan begins: windows go by this clock from now on. Only while no unit is open.
  case clock(WindowClock)
  /// This is to be computed next. Only while no unit is open.
  case open(WorkUnit)
  /// What windows lack is to be brought here; answered by `windowsComplete`, or by a unit that brings some of it. Only
  /// while no unit is open.
  case completeWindows(WindowRequest)
  /// The bytes of an attempt are added up, of which `keepPayload` said that they make room.
  case added(attempt: Int)
  /// From now on a unit that nobody is there to compute is closed at once: `unitLeft`.
  case hurry
  /// The open unit is not needed any more.
  case abandon
  /// A chain of this worker's is not what its own gradients add up to, for this reason. Only while no unit is open.
  case distrust(workerID: Int, identity: String, reason: String)
  /// What the unit came to is durable. To be said after its `unitComplete`, before the next unit is opened.
  case committed(WorkUnit)
  /// Nothing more is to be computed; answered by `drained`.
  case close
}

/// Everything that can happen to the work on a run.
enum SchedulerEvent: Sendable {
  case entered(Newcomer)
  case reported(workerID: Int, WorkerReport)
  case requested(RunRequest)
  /// A worker is not here any more: its connection has ended, it was not heard, another run has it.
  case gone(workerID: Int, reason: String, AttemptOutcome)
  /// A worker has taken its leave.
  case left(workerID: Int)
  /// A process that was lost is there again: only its connection had ended.
  case cameBack(process: String, identity: String)
  /// The coordinator itself stood still for so many seconds.
  case excused(seconds: Double)
  /// Deadlines are to be judged.
  case timer
}

extension SchedulerEvent {
  /// Whether it says no more than that somebody is at something: nothing follows from it, and no deadline comes earlier.
  var isSignOfLife: Bool {
    switch self {
    case .reported(_, .accepted), .reported(_, .renewed), .reported(_, .moved): true
    default: false
    }
  }

  var isResult: Bool { if case .reported(_, .result) = self { true } else { false } }
}

/// A worker of the fleet that comes to a run.
struct Newcomer: Sendable {
  let peer: PeerID
  let session: SessionID
  let hello: Hello
  let owner: Owner
}
