import NestedLearning
import Protocol

/// A hand-out whose end has not been heard of.
struct Attempt: Sendable {
  let assignment: Assignment
  let workerID: Int
  /// Place of its shard in the open unit; nil once the unit is over.
  var place: Int?
  let handedOut: Instant
  var leaseEnds: Instant
  /// Its shard has been given to others, but its result still counts if it comes first.
  var expired = false
  /// When its worker is given up.
  var givenUp: Instant
}

/// A shard of the open unit.
struct ShardProgress: Sendable {
  let shard: Shard
  /// The attempt that it is leased to; nil: pending, or verified.
  var lease: Int?
  /// The result that counts, and whose it is.
  var result: (summary: ResultSummary, workerID: Int)?
  var failures = 0
  var failedBy = Set<Int>()

  var isPending: Bool { lease == nil && result == nil }
}

/// The unit that is being computed.
struct OpenUnit: Sendable {
  let unit: WorkUnit
  let opened: Instant
  /// Empty until there are workers to cut it for.
  var shards: [ShardProgress] = []
  var versions: [Int] = []
  /// Since when nobody computes it or could.
  var withoutWorkersSince: Instant?
}

/// Units, shards, attempts.
extension CoordinatorCore {
  // MARK: - Opening

  mutating func change(_ tiers: [Int: TierVersion], now: Instant) {
    guard open == nil else { return stop("parameters changed while \(openName) was computed", now: now) }
    for (tier, version) in tiers where parameters.indices.contains(tier) { parameters[tier] = version }
  }

  private var openName: String { open.map { "\($0.unit)" } ?? "nothing" }

  mutating func begin(_ unit: WorkUnit, now: Instant) {
    guard failure == nil, case .running = phase else {
      return log("\(unit) was not begun: the run is ending")
    }
    guard open == nil else { return stop("\(unit) was opened while \(openName) was computed", now: now) }
    if let tier = parameters.firstIndex(where: { $0 == nil }) {
      return stop("\(unit) was opened before the parameters of tier \(tier) were known", now: now)
    }
    guard unit.leafCount > 0, unit.dueTiers.allSatisfy(parameters.indices.contains) else {
      return stop("\(unit) has no micro-batch, or a tier that the run does not have", now: now)
    }
    open = OpenUnit(unit: unit, opened: now, versions: parameters.map { $0?.version ?? 0 })
    stateSince = now
  }

  /// Until when the first unit waits for the other local workers; nil if it does not.
  var gatherDeadline: Instant? {
    guard !gathered, open?.shards.isEmpty == true, let firstReady else { return nil }
    let local = usableWorkers.filter { $0.hello.localIndex != nil }.count
    return local < settings.expectedLocalWorkers ? firstReady + settings.gatherSeconds : nil
  }

  /// Cuts the open unit for the workers that are there.
  mutating func planIfPossible(now: Instant) {
    guard let unit = open?.unit else { return }
    let workers = usableWorkers.count
    if workers > 0 {
      open?.withoutWorkersSince = nil
    } else if open?.withoutWorkersSince == nil {
      open?.withoutWorkersSince = now
      stateSince = now
    }
    guard open?.shards.isEmpty == true, workers > 0 else { return }
    if let deadline = gatherDeadline, deadline > now { return }
    gathered = true
    stateSince = now
    open?.shards = Planner.shards(
      of: unit, workers: workers, tierParameterCounts: settings.tierParameterCounts,
      byTier: settings.shardByTier
    ).map { ShardProgress(shard: $0) }
  }

  // MARK: - Handing out

  /// Gives every pending shard to an idle worker, as far as there are any: to one that has not failed at it if
  /// possible, else to the one that joined first.
  mutating func handOut(now: Instant) {
    guard let open else { return }
    var idle = workers.values.filter { $0.state == .ready }.map(\.id).sorted()
    for (place, progress) in open.shards.enumerated() where progress.isPending {
      guard let first = idle.first else { return }
      let id = idle.first { !progress.failedBy.contains($0) } ?? first
      idle.removeAll { $0 == id }
      assign(place, of: open, to: id, now: now)
    }
  }

  private mutating func assign(_ place: Int, of open: OpenUnit, to id: Int, now: Instant) {
    guard let worker = workers[id] else { return }
    let progress = open.shards[place]
    let assignment = Assignment(
      attempt: nextAttempt, unit: open.unit, shard: progress.shard, versions: open.versions)
    nextAttempt += 1
    let lease = times.lease(
      microBatches: progress.shard.node.leaves(count: open.unit.leafCount).count, purpose: open.unit.purpose,
      failures: progress.failures, settings: settings)
    attempts[assignment.attempt] = Attempt(
      assignment: assignment, workerID: id, place: place, handedOut: now, leaseEnds: now + lease,
      givenUp: now + 3 * lease)
    self.open?.shards[place].lease = assignment.attempt
    setState(of: id, .busy(attempt: assignment.attempt), now: now)
    for (tier, version) in parameters.enumerated() {
      guard let version, worker.tiers[tier] != version else { continue }
      workers[id]?.tiers[tier] = version
      send(.sendParameters(peer: worker.peer, session: worker.session, tier: tier, version: version.version))
    }
    send(.assign(peer: worker.peer, session: worker.session, assignment))
  }

  /// A lease is over: the shard is given to others, while its worker may still finish it.
  mutating func expire(_ number: Int, now: Instant) {
    guard let attempt = attempts[number] else { return }
    attempts[number]?.expired = true
    guard let place = attempt.place else { return }
    let seconds = Int(now.seconds(since: attempt.handedOut))
    log(
      "Attempt \(number) (\(shardName(attempt))) did not come back from worker \(attempt.workerID) within \(seconds) s"
    )
    countFailure(
      at: place, attempt, reason: "worker \(attempt.workerID) took more than \(seconds) s", now: now)
  }

  // MARK: - Ends of attempts

  /// The end of an attempt that brought no result.
  mutating func end(_ number: Int, _ outcome: AttemptOutcome, reason: String, now: Instant) {
    guard let attempt = attempts.removeValue(forKey: number) else { return }
    // What has run out of time is recorded as that, however its worker went.
    record(attempt, attempt.expired && outcome == .lost ? .expired : outcome, now: now)
    guard let place = attempt.place else { return }
    if outcome == .cancelled {
      if open?.shards[place].lease == number { open?.shards[place].lease = nil }
    } else if !attempt.expired {
      countFailure(at: place, attempt, reason: reason, now: now)
    }
  }

  /// A failed hand-out; too many of one shard stop the run, which names it.
  private mutating func countFailure(at place: Int, _ attempt: Attempt, reason: String, now: Instant) {
    guard let unit = open?.unit, open?.shards[place].result == nil else { return }
    open?.shards[place].failures += 1
    open?.shards[place].failedBy.insert(attempt.workerID)
    if open?.shards[place].lease == attempt.assignment.attempt { open?.shards[place].lease = nil }
    guard let progress = open?.shards[place], progress.failures >= settings.maximumAttempts else { return }
    stop(
      "\(progress.shard.name(in: unit)) failed \(progress.failures) times, the last time: \(reason)", now: now
    )
  }

  mutating func record(_ attempt: Attempt, _ outcome: AttemptOutcome, now: Instant) {
    let unit = attempt.assignment.unit
    let leaves = attempt.assignment.shard.node.leaves(count: unit.leafCount)
    persist(
      .record(
        AssignmentRecord(
          attempt: attempt.assignment.attempt, purpose: unit.purpose, step: unit.step,
          firstMicroBatch: leaves.lowerBound, lastMicroBatch: leaves.upperBound - 1,
          tiers: attempt.assignment.shard.tiers, workerID: attempt.workerID, handedOut: attempt.handedOut,
          finished: now, outcome: outcome)))
  }

  func shardName(_ attempt: Attempt) -> String {
    attempt.assignment.shard.name(in: attempt.assignment.unit)
  }
}
