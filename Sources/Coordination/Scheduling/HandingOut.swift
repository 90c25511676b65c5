import NestedLearning
import WireProtocol

/// Who computes what.
extension ShardScheduler {
  /// What a shard still lacks.
  private enum Want {
    case gradients
    /// They are here, or on their way; another's digests are to be compared with them.
    case digests
  }

  /// Gives work to every idle worker, as far as there is any: first what nobody computes, then what is to be computed
  /// twice, then what is late.
  mutating func handOut(now: Instant) {
    guard open?.shards.isEmpty == false, mayWant || scanIsDue(now: now) else { return }
    var idle = idleWorkers(now: now)
    guard !idle.isEmpty else { return }
    if mayWant {
      var lacking = 0
      for wanted in [Want.gradients, .digests] { lacking += handOut(wanted, to: &idle, now: now) }
      mayWant = lacking > 0
    }
    if scanIsDue(now: now) { handOutBackups(to: &idle, now: now) }
  }

  /// - Returns: how many shards nobody was found for
  private mutating func handOut(_ wanted: Want, to idle: inout [Int], now: Instant) -> Int {
    var places: [(place: Int, barred: Set<String>)] = []
    for (place, progress) in (open?.shards ?? []).enumerated() {
      if let (want, barred) = want(of: progress), want == wanted { places.append((place, barred)) }
    }
    guard !places.isEmpty else { return 0 }
    var lacking = places.count
    var isIdle = Set(idle)
    // A worker gets the same node again, as it may have kept something of it; but not one that is slow.
    let usual = workers.values.map(\.pace).sorted()
    let slow = 1.5 * (usual.isEmpty ? 1 : usual[usual.count / 2])
    for (place, barred) in places where wanted == .gradients {
      guard let slot = open?.shards[place].slot, let id = holders[slot], isIdle.contains(id),
        workers[id].map({ $0.pace <= slow }) == true, mayTake(place, id, barred: barred)
      else { continue }
      isIdle.remove(id)
      lacking -= 1
      assign(place, to: id, digestOnly: false, now: now)
    }
    idle.removeAll { !isIdle.contains($0) }
    for (place, barred) in places where open.flatMap({ want(of: $0.shards[place]) })?.want == wanted {
      guard !idle.isEmpty else { return lacking }
      let id =
        idle.first { mayTake(place, $0, barred: barred) }
        ?? idle.first { mayTakeAgain(place, $0, barred: barred, now: now) }
      guard let id else { continue }
      idle.removeAll { $0 == id }
      lacking -= 1
      assign(place, to: id, digestOnly: wanted == .digests, now: now)
    }
    return lacking
  }

  /// Whether a worker may have a shard that it has not failed at.
  private func mayTake(_ place: Int, _ id: Int, barred: Set<String>) -> Bool {
    guard let progress = open?.shards[place], let worker = workers[id] else { return false }
    if let pinned = progress.pinnedTo, pinned != id { return false }
    return !barred.contains(worker.identity) && !progress.failures.hasTried(worker.identity)
  }

  /// Whether one may have it that has: once nobody else is there, or has found time for it.
  private func mayTakeAgain(_ place: Int, _ id: Int, barred: Set<String>, now: Instant) -> Bool {
    guard let progress = open?.shards[place], let worker = workers[id] else { return false }
    if let pinned = progress.pinnedTo { return pinned == id }
    guard !barred.contains(worker.identity) else { return false }
    return progress.failures.leftToOthersUntil <= now || !hasOthers(progress, barred: barred)
  }

  /// What a shard lacks, and from whom it cannot come; nil if all that it needs is here or on its way.
  private func want(of progress: ShardProgress) -> (want: Want, barred: Set<String>)? {
    if progress.isGivenUp { return nil }
    let active = progress.running.compactMap { attempts[$0] }.filter(\.isActive)
    if let agreed = progress.agreed {
      let isComing = agreed.payload != nil || active.contains { !$0.assignment.digestOnly }
      return isComing ? nil : (.gradients, [])
    }
    let (voters, leading) = (progress.voters, progress.leading)
    // A late one and its backup are one vote: who comes first.
    let coming = Set(active.filter { !$0.hasBackup }.map(\.identity)).subtracting(voters)
    let missing = progress.required - (leading.map { progress.supporters(of: $0).count } ?? 0) - coming.count
    guard missing > 0 else { return nil }
    let hasBytes = leading?.payload != nil || active.contains { !$0.assignment.digestOnly }
    return (hasBytes ? .digests : .gradients, voters.union(active.map(\.identity)))
  }

  // MARK: - Backups

  private mutating func handOutBackups(to idle: inout [Int], now: Instant) {
    for place in (open?.shards ?? []).indices {
      guard !idle.isEmpty, let progress = open?.shards[place], progress.agreed == nil,
        progress.pinnedTo == nil
      else { continue }
      let active = progress.running.compactMap { attempts[$0] }.filter(\.isActive)
      guard let late = active.first(where: { lateness(of: $0, now: now) <= now }) else { continue }
      let barred = progress.voters.union(active.map(\.identity))
      let id = idle.first { id in
        // Another that is as slow would be no help.
        mayTake(place, id, barred: barred)
          && (workers[id]?.pace ?? 1) <= max(1.5, (workers[late.workerID]?.pace ?? 1) / 2)
      }
      guard let id else { continue }
      idle.removeAll { $0 == id }
      attempts[late.number]?.hasBackup = true
      backups += 1
      log(
        "Attempt \(late.number) (\(progress.name)) of worker \(late.workerID) is late: worker \(id) computes it as well"
      )
      assign(place, to: id, digestOnly: late.assignment.digestOnly, now: now)
    }
  }

  /// From when on a backup is worth its while: when it takes much longer than usual, or, for a worker that is known
  /// to be slow, as soon as another could be done before it.
  private func lateness(of attempt: Attempt, now: Instant) -> Instant {
    guard !attempt.hasBackup, attempt.waitsSince == nil, let usual = usualSeconds(of: attempt) else {
      return .never
    }
    let late =
      attempt.handedOut + attempt.waitedSeconds
      + max(settings.backupMedianFactor * usual, settings.backupFloorSeconds)
    let expected = usual * (workers[attempt.workerID]?.pace ?? 1)
    let remaining = expected - attempt.age(now)
    return expected > settings.backupFloorSeconds && remaining > 1.25 * usual ? now : late
  }

  /// When the next backup is due; `never` while nobody is idle.
  func backupDeadline(now: Instant) -> Instant {
    guard let open, workers.values.contains(where: { isIdle($0, now: now) }) else { return .never }
    var next = Instant.never
    for progress in open.shards where progress.agreed == nil && progress.pinnedTo == nil {
      for attempt in progress.running.compactMap({ attempts[$0] }) where attempt.isActive {
        let late = lateness(of: attempt, now: now)
        // What is due and was not begun finds nobody who could, until something else happens.
        if late > now { next = min(next, late) }
      }
    }
    return next
  }

  func usualSeconds(of attempt: Attempt) -> Double? {
    times.usual(microBatches: attempt.assignment.leaves.count, purpose: attempt.assignment.unit.purpose)
  }

  // MARK: - Handing out

  private mutating func assign(_ place: Int, to id: Int, digestOnly: Bool, now: Instant) {
    guard let worker = workers[id], let progress = open?.shards[place] else { return }
    let assignment = Assignment(
      attempt: nextAttempt, unit: progress.unit, shard: progress.shard,
      versions: progress.versions.map(\.version), digestOnly: digestOnly,
      windows: windowOrders(for: progress, worker: worker, digestOnly: digestOnly))
    nextAttempt += 1
    let lease = times.lease(
      microBatches: assignment.leaves.count, purpose: progress.unit.purpose,
      failures: progress.failures.count,
      settings: settings)
    attempts[assignment.attempt] = Attempt(
      assignment: assignment, workerID: id, owner: worker.owner, process: worker.process, place: place,
      handedOut: now,
      lease: lease, leaseEnds: now + lease, givenUp: now + 3 * lease, grew: now)
    open?.shards[place].running.append(assignment.attempt)
    setState(of: id, .busy(attempt: assignment.attempt), now: now)
    for (tier, version) in progress.versions.enumerated() where worker.tiers[tier] != version {
      workers[id]?.tiers[tier] = version
      send(.sendParameters(peer: worker.peer, session: worker.session, tier: tier, version: version.version))
    }
    let given = assignment.givenChains
    if !given.isEmpty {
      let through = progress.unit.step - 1
      send(.sendWindow(peer: worker.peer, session: worker.session, given, through: through))
    }
    send(.assign(peer: worker.peer, session: worker.session, assignment))
  }
}
