import WireProtocol

/// Which run has which workers: each as many as the others, as far as they fit; earlier runs first where it does not come
/// out even, or where there are fewer workers than runs. A worker goes to another run when it has nothing in hand, so
/// that no work is lost; partial sums of windows that it has kept are computed again by others, to the same bits.
extension FleetCore {
  mutating func place(now: Instant) {
    // Leaving one run and entering another may bring about that others have to go.
    for _ in 0..<4 where placementIsDue {
      placementIsDue = false
      guard case .open = phase else { return }
      for run in runs.keys { runs[run]?.scheduler.promise(to: []) }
      let shares = shares()
      noteTurns(shares, now: now)
      placeFree(shares, now: now)
      rebalance(shares, now: now)
      noteTurns(shares, now: now)
    }
  }

  /// How many workers each run that wants some is to have, of those that at least one of them can use.
  private func shares() -> [RunNumber: Int] {
    let wanting = runs.filter { !resting.contains($0.key) && $0.value.scheduler.failure == nil }.map(\.key)
      .sorted()
    guard !wanting.isEmpty else { return [:] }
    let usable = members.values.filter { member in wanting.contains { isOfUse(member, to: $0) } }.count
    let (each, rest) = usable.quotientAndRemainder(dividingBy: wanting.count)
    let even = Dictionary(
      uniqueKeysWithValues: wanting.enumerated().map { ($1, each + ($0 < rest ? 1 : 0)) })
    return withArbiters(even)
  }

  /// Where a run's workers cannot go on without another to compare with, as in a replay that two have to agree on, or
  /// once two have come to different results, it gets one of the last runs, which wait meanwhile: with what each has, all
  /// would wait for ever.
  private func withArbiters(_ even: [RunNumber: Int]) -> [RunNumber: Int] {
    var shares = even
    var served: Set<RunNumber> = []
    for run in even.keys.sorted() {
      guard let needed = workersNeeded[run] else { continue }
      served.insert(run)
      while shares[run] ?? 0 < needed,
        let other = shares.keys.sorted().last(where: { !served.contains($0) && (shares[$0] ?? 0) > 0 })
      {
        shares[other, default: 0] -= 1
        shares[run, default: 0] += 1
      }
    }
    return shares
  }

  /// Keeps up which runs need one worker more than they have: from when they wait for it, until nothing is left to be
  /// compared.
  mutating func noteNeed(of run: RunNumber) {
    let known = workersNeeded[run]
    guard known != nil || runs.count > 1, let scheduler = runs[run]?.scheduler else {
      workersNeeded[run] = nil
      return
    }
    let needed = scheduler.waitsForArbiter ? scheduler.usableWorkers.count + 1 : 0
    if known != nil, !scheduler.comparesResults {
      workersNeeded[run] = nil
      placementIsDue = true
    } else if needed > known ?? 0 {
      workersNeeded[run] = needed
      placementIsDue = true
    }
  }

  /// Whether a worker can compute what a run computes, and its results are believed there.
  private func isOfUse(_ member: Member, to run: RunNumber) -> Bool {
    guard let run = runs[run] else { return false }
    return member.fits(run.scheduler.settings) && !run.scheduler.voided.contains(member.owner.identity)
  }

  private mutating func noteTurns(_ shares: [RunNumber: Int], now: Instant) {
    for run in runs.keys.sorted() {
      let waits = waitsForTurn(run, share: shares[run])
      guard runs[run]?.scheduler.waitsForTurn != waits else { continue }
      runs[run]?.scheduler.waitsForTurn = waits
      tell(run, .timer, now: now)
    }
  }

  /// A run waits for its turn, and not for workers that are not there, if it has no share, or if other runs have every
  /// worker that is of use to it. Where none is, others' ends will not help it.
  private func waitsForTurn(_ run: RunNumber, share: Int?) -> Bool {
    guard let share, runs.count > 1 else { return false }
    let fitting = members.values.filter { isOfUse($0, to: run) }
    guard !fitting.isEmpty else { return false }
    return share == 0 || fitting.allSatisfy { $0.place.map { $0.run != run } ?? false }
  }

  private func count(_ run: RunNumber) -> Int { runs[run]?.scheduler.workers.count ?? 0 }

  /// Workers that are in no run go where most are lacking.
  private mutating func placeFree(_ shares: [RunNumber: Int], now: Instant) {
    for id in members.keys.sorted() {
      guard let member = members[id], member.place == nil else { continue }
      let fitting = shares.keys.sorted().filter { isOfUse(member, to: $0) }
      let best = fitting.max { count($0) - (shares[$0] ?? 0) > count($1) - (shares[$1] ?? 0) }
      if let best { enter(id, best, now: now) }
    }
  }

  /// From runs that have more than their share, or that rest, to runs that have less.
  private mutating func rebalance(_ shares: [RunNumber: Int], now: Instant) {
    var promised: [RunNumber: Set<Int>] = [:]
    for wanting in shares.keys.sorted() {
      var lacking = (shares[wanting] ?? 0) - count(wanting)
      while lacking > 0, let id = candidate(for: wanting, shares, promised), let place = members[id]?.place {
        lacking -= 1
        if runs[place.run]?.scheduler.isAtWork(place.workerID) == true {
          promised[place.run, default: []].insert(place.workerID)
        } else {
          move(id, from: place, to: wanting, now: now)
        }
      }
    }
    for (run, workers) in promised { runs[run]?.scheduler.promise(to: workers) }
  }

  /// A worker that another run can spare, and that fits this one: one that has nothing in hand, the latest to come.
  private func candidate(
    for wanting: RunNumber, _ shares: [RunNumber: Int], _ promised: [RunNumber: Set<Int>]
  ) -> Int? {
    var best: (isAtWork: Bool, id: Int)?
    for member in members.values {
      guard let place = member.place, place.run != wanting, isOfUse(member, to: wanting),
        promised[place.run]?.contains(place.workerID) != true,
        count(place.run) - (promised[place.run]?.count ?? 0) > shares[place.run] ?? 0
      else { continue }
      let isAtWork = runs[place.run]?.scheduler.isAtWork(place.workerID) ?? false
      if let best, (best.isAtWork ? 1 : 0, -best.id) <= (isAtWork ? 1 : 0, -member.id) { continue }
      best = (isAtWork, member.id)
    }
    return best?.id
  }

  private mutating func move(
    _ id: Int, from place: (run: RunNumber, workerID: Int), to run: RunNumber, now: Instant
  ) {
    tell(place.run, .gone(workerID: place.workerID, reason: "it goes to \(run)", .cancelled), now: now)
    enter(id, run, now: now)
  }

  private mutating func enter(_ id: Int, _ run: RunNumber, now: Instant) {
    guard let member = members[id] else { return }
    let newcomer = Newcomer(
      peer: member.peer, session: member.session, hello: member.hello, owner: member.owner)
    tell(run, .entered(newcomer), now: now)
  }
}

extension ShardScheduler {
  /// Whom other runs are to have, once they have nothing in hand.
  mutating func promise(to workers: Set<Int>) {
    promised = workers
  }

  /// Whether one of them has nothing in hand now.
  var hasIdlePromised: Bool { promised.contains { !isAtWork($0) } }

  /// Whether a worker computes, or has a result that waits to be sent.
  func isAtWork(_ id: Int) -> Bool {
    if case .busy = workers[id]?.state { return true }
    return !offers.attempts(ofWorker: id).isEmpty
  }
}
