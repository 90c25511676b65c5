import NestedLearning
import WireProtocol

/// What a coordinator does: admit workers, cut units of work into shards, hand them out, take each result once, hand
/// out again what was lost. Pure: the same state, event and time give the same effects.
///
/// Life of a worker: loading → probing → ready ⇄ busy (suspect, when its lease is over; cooldown, when it keeps failing)
/// → gone. Life of a shard: pending → leased → verified, and back to pending whenever its worker is lost, fails or is
/// late. `PROTOCOL.md` has the tables.
public struct CoordinatorCore: Sendable {
  public let settings: CoordinatorSettings

  enum Phase: Sendable {
    case running
    /// The open unit is finished, then the workers are sent away.
    case draining
    /// They have been told to leave, and have until then.
    case leaving(until: Instant)
    case completed
  }

  var phase = Phase.running
  /// Why the run cannot go on.
  var failure: String?
  /// By id; ids are given in the order of joining.
  var workers: [Int: Worker] = [:]
  var workerOfPeer: [PeerID: Int] = [:]
  var nextWorkerID: Int
  var nextAttempt: Int
  /// Attempts whose end has not been heard of, by number; also those of units that are over.
  var attempts: [Int: Attempt] = [:]
  /// By tier; nil until it has been said.
  var parameters: [TierVersion?]
  var open: OpenUnit?
  /// The last unit that was completed, until it is durable.
  var uncommitted: UncommittedUnit?
  /// Who has what of windows; nil if there are none.
  public internal(set) var windows: WindowTracker?
  /// Who computed what counts, the last time: it gets the same again if it can be.
  var holders: [Slot: Int] = [:]
  /// Hosts whose workers have no key, and on which one has come to a right result.
  var provenHosts = Set<String>()
  /// By identity; only those whose last attempt failed.
  var backoffs: [String: Backoff] = [:]
  /// Identities whose workers have come to a wrong result.
  var quarantined: Set<String>
  /// Shards that were to be computed twice, and were not, as there was no second worker.
  var waivedChecks = 0
  /// What has happened so often since this coordinator began.
  var expiredLeases = 0
  var backups = 0
  var times = ShardTimes()
  /// Results that are offered, and have not come.
  var offers = Offers()
  /// The wait for local workers is over.
  var gathered = false
  /// The run has no time to wait for workers that are not there.
  var isHurried = false
  /// When the first worker became ready.
  var firstReady: Instant?
  /// Since when the run is as it is, for the status.
  var stateSince: Instant
  var ignoredResults: [AttemptOutcome: Int] = [:]

  /// When the last event came.
  private(set) var lastStep: Instant
  private var armed = Instant.never
  /// After a stall of the coordinator's own loop nothing is judged before then.
  private var deferredUntil: Instant?
  private var effects = EffectList()

  public init(settings: CoordinatorSettings, now: Instant) {
    self.settings = settings
    nextWorkerID = settings.firstWorkerID
    nextAttempt = settings.firstAttempt
    quarantined = settings.quarantined
    parameters = Array(repeating: nil, count: settings.tierCount)
    stateSince = now
    lastStep = now
  }

  /// Takes one event and says what is to be done. `now` must not go backwards.
  public mutating func step(_ event: CoordinatorEvent, now: Instant) -> [CoordinatorEffect] {
    lastStep = now
    handle(event, now: now)
    advance(now: now)
    arm(now: now)
    defer { effects = EffectList() }
    return effects.inOrder
  }

  private mutating func handle(_ event: CoordinatorEvent, now: Instant) {
    switch event {
    case .hello(let peer, let hello, let key, let term): join(peer, hello, key: key, term: term, now: now)
    case .ready(let peer, let session, let ready): becomeReady(peer, session, ready, now: now)
    case .probed(let peer, let session, let sha256): judgeProbe(peer, session, sha256, now: now)
    case .heard(let peer, let session): _ = known(peer, session, now: now)
    case .accepted(let peer, let session, let attempt): accepted(peer, session, attempt, now: now)
    case .declined(let peer, let session, let attempt, let reason):
      declined(peer, session, attempt, reason: reason, now: now)
    case .renewed(let peer, let session, let attempt, let progress):
      renewed(peer, session, attempt, progress: progress, now: now)
    case .cancelled(let peer, let session, let attempt): cancelled(peer, session, attempt, now: now)
    case .moved(let peer, let session, let attempt): moved(peer, session, attempt, now: now)
    case .fetched(let peer, let session, let fetch): fetched(peer, session, fetch, now: now)
    case .result(let peer, let session, let term, let result):
      take(result, from: peer, session: session, term: term, now: now)
    case .offered(let peer, let session, let term, let result):
      offered(result, peer, session, term: term, now: now)
    case .workerError(let peer, let session, let attempt, let reason, let isNotFinite):
      fail(peer, session, attempt: attempt, reason: reason, isNotFinite: isNotFinite, now: now)
    case .peerLost(let peer, let reason):
      if let id = workerOfPeer[peer] { remove(id, reason: reason, outcome: .lost, now: now) }
    case .goodbye(let peer, let session):
      if let id = known(peer, session, now: now) { leave(id, now: now) }
    case .parametersChanged(let tiers): change(tiers, now: now)
    case .open(let unit): begin(unit, now: now)
    case .windows(let book): windows = book
    case .completeWindows(let request): complete(request, now: now)
    case .hurry: isHurried = true
    case .abandon: abandonUnit(now: now)
    case .distrust(let id, let identity, let reason): quarantine(id, identity, reason, now: now)
    case .committed(let unit): acknowledge(committed: unit)
    case .timer: judgeDeadlines(now: now)
    case .drain: drain(now: now)
    }
  }

  /// Everything that follows from the state as it is.
  private mutating func advance(now: Instant) {
    if failure == nil {
      planIfPossible(now: now)
      leaveUnitIfStranded(now: now)
      giveUpCollecting(now: now)
      waiveChecks(now: now)
      creditOffers(now: now)
      handOut(now: now)
      watchArbiters(now: now)
      watchPoison(now: now)
      completeIfDone(now: now)
    }
    leaveIfDone(now: now)
  }

  // MARK: - Deadlines

  /// Judged on the timer alone, and not at once when the timer itself comes late: then the coordinator's own loop (or
  /// the whole machine) stood still, and what has been sent meanwhile is heard first.
  private mutating func judgeDeadlines(now: Instant) {
    if let until = deferredUntil {
      guard until <= now else { return }
      deferredUntil = nil
    } else if armed != .never, now.seconds(since: armed) > 0.5 {
      extendLeases(by: now.seconds(since: armed))
      deferredUntil = now + settings.silenceSeconds / 2
      return
    }
    for id in workers.keys.sorted() {
      guard let worker = workers[id], let (reason, outcome) = overdue(worker, now: now) else { continue }
      remove(id, reason: reason, outcome: outcome, now: now)
    }
    judgeAttempts(now: now)
    judgePoison(now: now)
    if let deadline = noWorkerDeadline, deadline <= now, let unit = open?.unit, failure == nil {
      stop(
        "no worker was ready for \(Int(settings.noWorkerSeconds)) s while \(unit) was to be computed; start one with "
          + "nl-worker --connect, then resume the run", now: now)
    }
    if let deadline = arbiterDeadline, deadline <= now, let progress = shardWithoutArbiter, failure == nil {
      stop(
        "\(progress.name): \(arbiterReason(progress)), and none came for \(Int(settings.noWorkerSeconds)) s; start "
          + "one with nl-worker --connect, then resume the run", now: now)
    }
  }

  private mutating func extendLeases(by seconds: Double) {
    for number in attempts.keys {
      attempts[number]?.extend(by: seconds)
    }
  }

  private func overdue(_ worker: Worker, now: Instant) -> (reason: String, outcome: AttemptOutcome)? {
    if worker.lastHeard + settings.silenceSeconds <= now {
      return ("nothing was heard of it for \(Int(settings.silenceSeconds)) s", .lost)
    }
    if worker.state == .loading, worker.admissionDeadline <= now {
      let last = worker.fetch.map { ", \($0) the last time" } ?? ""
      return ("it did not load the model within \(Int(settings.loadSeconds)) s\(last)", .lost)
    }
    if worker.state == .probing, worker.admissionDeadline <= now {
      return ("it did not answer the probe within \(Int(settings.probeSeconds)) s", .lost)
    }
    if case .busy(let number) = worker.state, let attempt = attempts[number], attempt.isExpired,
      attempt.givenUp <= now
    {
      return (
        "it did not finish attempt \(number) within \(Int(now.seconds(since: attempt.handedOut))) s", .expired
      )
    }
    return nil
  }

  /// When a unit that nobody computes fails the run.
  var noWorkerDeadline: Instant? { open?.withoutWorkersSince.map { $0 + settings.noWorkerSeconds } }

  private func nextDeadline(now: Instant) -> Instant {
    var next = Instant.never
    for worker in workers.values {
      next = min(next, worker.lastHeard + settings.silenceSeconds)
      if worker.state == .loading || worker.state == .probing { next = min(next, worker.admissionDeadline) }
    }
    next = min(next, attemptDeadline)
    if failure == nil {
      if open != nil {
        next = min(
          next, backupDeadline(now: now), cooldownDeadline(now: now), collectionDeadline,
          retryDeadline(now: now))
      }
      if let deadline = arbiterDeadline { next = min(next, deadline) }
      if let deadline = poisonDeadline { next = min(next, deadline) }
      if let deadline = noWorkerDeadline { next = min(next, deadline) }
      if let deadline = gatherDeadline { next = min(next, deadline) }
    }
    if case .leaving(let until) = phase { next = min(next, until) }
    return deferredUntil.map { max($0, next) } ?? next
  }

  /// A timer that comes early does no harm, so it is set again only when it would come too late.
  private mutating func arm(now: Instant) {
    let next = nextDeadline(now: now)
    guard next < armed || armed <= now || (next == .never && armed != .never) else { return }
    armed = next
    effects.timer = next
  }

  // MARK: - Effects

  /// What has to be kept or recorded before anything is sent.
  mutating func persist(_ effect: CoordinatorEffect) { effects.persist.append(effect) }
  mutating func send(_ effect: CoordinatorEffect) { effects.send.append(effect) }
  mutating func conclude(_ effect: CoordinatorEffect) { effects.conclude.append(effect) }
  mutating func log(_ line: String) { send(.log(line)) }

  /// The run cannot go on: nothing more is handed out.
  mutating func stop(_ reason: String, now: Instant) {
    guard failure == nil else { return }
    failure = reason
    stateSince = now
    abandonUnit(now: now)
    // Nobody waits for what is still under way, and the ledger is to know of every hand-out.
    for number in attempts.keys.sorted() { end(number, .cancelled, reason: "the run failed", now: now) }
    conclude(.fail(reason: reason))
  }
}

private struct EffectList: Sendable {
  var persist: [CoordinatorEffect] = []
  var send: [CoordinatorEffect] = []
  var conclude: [CoordinatorEffect] = []
  var timer: Instant?

  var inOrder: [CoordinatorEffect] { persist + send + conclude + (timer.map { [.armTimer($0)] } ?? []) }
}
