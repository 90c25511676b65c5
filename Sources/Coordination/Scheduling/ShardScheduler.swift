import NestedLearning
import WireProtocol

/// Who computes what of one run: cuts units of work into shards, hands them out to the workers that the fleet has lent
/// the run, takes each result once, hands out again what was lost. Pure: the same state, event and time give the same
/// effects.
///
/// Life of a worker in a run: loading → probing → ready ⇄ busy (suspect, when its lease is over; cooldown, when it keeps
/// failing) → gone. Life of a shard: pending → leased → verified, and back to pending whenever its worker is lost, fails
/// or is late. `PROTOCOL.md` has the tables.
public struct ShardScheduler: Sendable {
  public let settings: SchedulerSettings

  /// Whether the run needs no workers any more.
  var isClosed = false
  /// Why the run cannot go on.
  var failure: String?
  /// By number in the run; these are given in the order of coming.
  var workers: [Int: Worker] = [:]
  var nextWorkerID: Int
  /// By identity: the last worker of it that was in this run.
  var lastWorker: [String: Int] = [:]
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
  /// What all runs of the fleet know of identities. The fleet keeps it; it is here while an event is taken.
  var trust = Trust()
  /// Identities whose word is void in this run.
  var voided: Set<String>
  /// There are more runs than workers, and this one has none for now.
  var waitsForTurn = false
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

  /// Workers that load the model, or are probed.
  var admitting = Set<Int>()
  /// Whom another run is to have: they get no more work here.
  var promised = Set<Int>()
  /// False if it is known that no shard lacks anybody; late ones may still be given to others as well.
  var mayWant = true
  /// When attempts were last looked through for those that are late, and when one will be.
  var lateScan: (at: Instant, deadline: Instant)?

  /// When the last event came.
  private(set) var lastStep: Instant
  private var effects = EffectList()

  init(settings: SchedulerSettings, now: Instant) {
    self.settings = settings
    nextWorkerID = settings.firstWorkerID
    nextAttempt = settings.firstAttempt
    voided = settings.quarantined
    parameters = Array(repeating: nil, count: settings.tierCount)
    stateSince = now
    lastStep = now
  }

  /// Takes one event and says what is to be done. `now` must not go backwards.
  mutating func step(_ event: SchedulerEvent, now: Instant) -> [SchedulerEffect] {
    lastStep = now
    if !event.isResult { mayWant = true }
    // What was due is over now, or is put off; the time of the last look would bring the timer again at once.
    if case .timer = event { lateScan = nil }
    handle(event, now: now)
    if !event.isSignOfLife { advance(now: now) }
    defer { effects = EffectList() }
    return effects.inOrder
  }

  private mutating func handle(_ event: SchedulerEvent, now: Instant) {
    switch event {
    case .entered(let newcomer): enter(newcomer, now: now)
    case .reported(let id, let report): take(report, of: id, now: now)
    case .requested(let request): take(request, now: now)
    case .gone(let id, let reason, let outcome): remove(id, reason: reason, outcome: outcome, now: now)
    case .left(let id): leave(id, now: now)
    case .cameBack(let process, let identity): cameBack(process, identity)
    case .excused(let seconds): extendLeases(by: seconds)
    case .timer: judgeDeadlines(now: now)
    }
  }

  private mutating func take(_ report: WorkerReport, of id: Int, now: Instant) {
    switch report {
    case .ready(let ready): becomeReady(id, ready, now: now)
    case .probed(let sha256): judgeProbe(id, sha256, now: now)
    case .accepted(let attempt): accepted(id, attempt, now: now)
    case .declined(let attempt, let reason): declined(id, attempt, reason: reason, now: now)
    case .renewed(let attempt, let progress): renewed(id, attempt, progress: progress, now: now)
    case .cancelled(let attempt): cancelled(id, attempt, now: now)
    case .moved(let attempt): moved(id, attempt, now: now)
    case .fetched(let fetch): fetched(id, fetch, now: now)
    case .offered(let result): offered(result, of: id, now: now)
    case .result(let result): take(result, from: id, now: now)
    case .error(let attempt, let reason, let isNotFinite):
      fail(id, attempt: attempt, reason: reason, isNotFinite: isNotFinite, now: now)
    }
  }

  private mutating func take(_ request: RunRequest, now: Instant) {
    switch request {
    case .parametersChanged(let tiers): change(tiers, now: now)
    case .open(let unit): begin(unit, now: now)
    case .windows(let book): windows = book
    case .clock(let clock): windows?.follow(clock)
    case .completeWindows(let request): complete(request, now: now)
    case .added(let attempt): added(attempt)
    case .hurry: isHurried = true
    case .abandon: abandonUnit(now: now)
    case .distrust(let id, let identity, let reason): quarantine(id, identity, reason, now: now)
    case .committed(let unit): acknowledge(committed: unit)
    case .close: close(now: now)
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
  }

  // MARK: - Deadlines

  private mutating func judgeDeadlines(now: Instant) {
    for id in workers.keys.sorted() {
      guard let worker = workers[id], let (reason, outcome) = overdue(worker, now: now) else { continue }
      dismiss(id, reason: reason, outcome: outcome, now: now)
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
    if worker.state == .loading, worker.admissionDeadline <= now {
      let last = worker.fetch.map { ", \($0) the last time" } ?? ""
      return ("it did not load the model within \(Int(settings.loadSeconds)) s\(last)", .lost)
    }
    if worker.state == .probing, worker.admissionDeadline <= now {
      return ("it did not answer the probe within \(Int(settings.probeSeconds)) s", .lost)
    }
    if let attempt = attempts(of: worker).first(where: { $0.isExpired && $0.givenUp <= now }) {
      let seconds = Int(now.seconds(since: attempt.handedOut))
      return ("it did not finish attempt \(attempt.number) within \(seconds) s", .expired)
    }
    return nil
  }

  /// What a worker has in hand, and what it has offered and may send.
  private func attempts(of worker: Worker) -> [Attempt] {
    var numbers = offers.attempts(ofWorker: worker.id)
    if case .busy(let number) = worker.state { numbers.append(number) }
    return numbers.compactMap { attempts[$0] }.filter { $0.waitsSince == nil }
  }

  /// When a unit that nobody computes fails the run.
  var noWorkerDeadline: Instant? { open?.withoutWorkersSince.map { $0 + settings.noWorkerSeconds } }

  /// When the next event is to come at the latest.
  mutating func nextDeadline(now: Instant) -> Instant {
    var next = Instant.never
    for id in admitting { next = min(next, workers[id]?.admissionDeadline ?? .never) }
    next = min(next, lateDeadline(now: now))
    if failure == nil {
      if open != nil {
        next = min(next, cooldownDeadline(now: now), collectionDeadline, retryDeadline(now: now))
      }
      if let deadline = arbiterDeadline { next = min(next, deadline) }
      if let deadline = poisonDeadline { next = min(next, deadline) }
      if let deadline = noWorkerDeadline { next = min(next, deadline) }
      if let deadline = gatherDeadline { next = min(next, deadline) }
    }
    return next
  }

  /// With many attempts they are looked through at most so often, in seconds: else each message would take time that
  /// grows with their number.
  private static let scanSeconds = 0.01
  private static let manyAttempts = 64

  /// Whether it is time to look for attempts that are late.
  func scanIsDue(now: Instant) -> Bool {
    guard attempts.count > Self.manyAttempts, let lateScan else { return true }
    return now.seconds(since: lateScan.at) >= Self.scanSeconds
  }

  /// When an attempt is to be judged, or a backup is due.
  private mutating func lateDeadline(now: Instant) -> Instant {
    if !scanIsDue(now: now), let lateScan { return min(lateScan.deadline, lateScan.at + Self.scanSeconds) }
    var next = attemptDeadline
    if failure == nil, open != nil { next = min(next, backupDeadline(now: now)) }
    lateScan = (now, next)
    return next
  }

  // MARK: - Effects

  /// What has to be kept or recorded before anything is sent.
  mutating func persist(_ effect: SchedulerEffect) { effects.persist.append(effect) }
  mutating func send(_ effect: SchedulerEffect) { effects.send.append(effect) }
  mutating func conclude(_ effect: SchedulerEffect) { effects.conclude.append(effect) }
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
  var persist: [SchedulerEffect] = []
  var send: [SchedulerEffect] = []
  var conclude: [SchedulerEffect] = []

  var inOrder: [SchedulerEffect] { persist + send + conclude }
}
