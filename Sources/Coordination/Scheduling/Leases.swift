import WireProtocol

/// What becomes of a hand-out while it lasts, and when it has lasted too long.
extension ShardScheduler {
  // MARK: - Signs of life

  /// The attempt that a worker's message is about, if that is what it has in hand.
  private func inHand(_ id: Int, _ number: Int?) -> Int? {
    guard case .busy(let own) = workers[id]?.state, own == number ?? own else { return nil }
    return own
  }

  mutating func accepted(_ id: Int, _ number: Int, now: Instant) {
    guard let number = inHand(id, number), attempts[number]?.isAccepted == false else {
      return
    }
    attempts[number]?.isAccepted = true
    attempts[number]?.grew = now
  }

  mutating func renewed(
    _ id: Int, _ number: Int, progress: Int, now: Instant
  ) {
    guard let number = inHand(id, number), let attempt = attempts[number],
      progress > attempt.progress
    else { return }
    attempts[number]?.isAccepted = true
    attempts[number]?.progress = progress
    attempts[number]?.grew = now
  }

  /// Bytes moved: parameters to the worker, or its result from it.
  mutating func moved(_ id: Int, _ number: Int?, now: Instant) {
    for offer in offers.attempts(ofWorker: id) { attempts[offer]?.grew = now }
    guard let own = inHand(id, number) else { return }
    attempts[own]?.grew = now
    if number != nil { attempts[own]?.isUploading = true }
  }

  mutating func declined(_ id: Int, _ number: Int, reason: String, now: Instant) {
    fail(id, attempt: number, reason: "it declined: \(reason)", now: now)
  }

  // MARK: - Stopping

  /// Tells a worker that its attempt is not needed any more; it goes on to other work once it says that it has stopped.
  mutating func cancel(_ number: Int, now: Instant) {
    // Of one that is offered it is said with the offer.
    guard let attempt = attempts[number], !attempt.isCancelled, offers[number] == nil,
      let worker = workers[attempt.workerID]
    else { return }
    attempts[number]?.isCancelled = true
    notePace(of: attempt, isDone: false, now: now)
    send(.cancel(peer: worker.peer, session: worker.session, attempt: number))
  }

  mutating func cancelled(_ id: Int, _ number: Int, now: Instant) {
    guard let number = inHand(id, number), let attempt = attempts[number] else { return }
    guard attempt.isCancelled else {
      return fail(id, attempt: number, reason: "it stopped by itself", now: now)
    }
    setState(of: attempt.workerID, .ready, now: now)
    end(number, .cancelled, reason: "", now: now)
  }

  /// How a worker compares with the others: the time that it took over the usual one. An attempt that was cancelled
  /// tells only that it is no faster than that.
  mutating func notePace(of attempt: Attempt, isDone: Bool, now: Instant) {
    guard let usual = usualSeconds(of: attempt), usual > 0, let worker = workers[attempt.workerID] else {
      return
    }
    let sample = attempt.age(now) / usual
    workers[attempt.workerID]?.pace = isDone ? (worker.pace + sample) / 2 : max(worker.pace, sample)
  }

  // MARK: - Deadlines

  /// Attempts that have lasted too long, or hang.
  mutating func judgeAttempts(now: Instant) {
    let limit = times.stallLimit(settings: settings)
    for number in attempts.keys.sorted() {
      guard let attempt = attempts[number], !attempt.isExpired, attempt.waitsSince == nil else { continue }
      let isGrowing = attempt.progress > 0 && attempt.grew + limit > now
      if attempt.grew + limit <= now {
        attempts[number]?.givenUp = now + limit
        expire(
          number, "made no progress at \(name(of: attempt)) for \(seconds(since: attempt.grew, now)) s",
          now: now)
      } else if attempt.leaseEnds <= now {
        let last = attempt.handedOut + 3 * attempt.lease + attempt.waitedSeconds
        if isGrowing, now < last {
          attempts[number]?.leaseEnds = min(attempt.leaseEnds + attempt.lease, last)
        } else {
          attempts[number]?.givenUp = max(attempt.givenUp, now + 2 * attempt.lease)
          expire(
            number, "did not finish \(name(of: attempt)) within \(seconds(since: attempt.handedOut, now)) s",
            now: now)
        }
      }
    }
  }

  private func seconds(since start: Instant, _ now: Instant) -> Int { Int(now.seconds(since: start)) }

  /// The next time at which an attempt is to be judged.
  var attemptDeadline: Instant {
    let limit = times.stallLimit(settings: settings)
    var next = Instant.never
    for attempt in attempts.values where attempt.waitsSince == nil {
      if attempt.isExpired {
        next = min(next, attempt.givenUp)
      } else {
        next = min(next, attempt.leaseEnds, attempt.grew + limit)
      }
    }
    return next
  }

  /// A lease is over: the shard is given to others, while its worker may still finish it.
  private mutating func expire(_ number: Int, _ what: String, now: Instant) {
    guard let attempt = attempts[number] else { return }
    attempts[number]?.isExpired = true
    expiredLeases += 1
    offers.isDue = true
    guard let place = attempt.place else { return }
    log("Worker \(attempt.workerID) \(what): attempt \(number) is given to another as well")
    open?.shards[place].failures.late.insert(attempt.identity)
    leaveToOthers(place, after: attempt, now: now)
    // Of one that is not heard either it shows later what became of it.
    guard let worker = workers[attempt.workerID], now < worker.lastHeard + 2.5 * settings.heartbeatSeconds
    else {
      return
    }
    attempts[number]?.isCounted = true
    countFailure(at: place, attempt, reason: "worker \(attempt.workerID) \(what)", now: now)
  }

  // MARK: - Ends

  /// The end of an attempt that brought no result.
  mutating func end(_ number: Int, _ outcome: AttemptOutcome, reason: String, now: Instant) {
    if offers[number] != nil {
      closeOffer(number, now: now)
      if let attempt = attempts[number], let worker = workers[attempt.workerID] {
        send(.refuse(peer: worker.peer, session: worker.session, attempt: number, outcome: .stale))
      }
    }
    guard let attempt = attempts.removeValue(forKey: number) else { return }
    mayWant = true
    // What has run out of time is recorded as that, however its worker went.
    record(attempt, attempt.isExpired && outcome == .lost ? .expired : outcome, finished: now)
    if outcome != .cancelled { forgetChains(of: attempt) }
    guard let place = attempt.place else { return }
    open?.shards[place].running.removeAll { $0 == number }
    guard outcome != .cancelled, !attempt.isCancelled, !attempt.isCounted else { return }
    if outcome == .lost {
      countLoss(at: place, attempt, reason: reason, now: now)
    } else {
      countFailure(at: place, attempt, reason: reason, now: now)
    }
  }

  // MARK: - Failures

  /// A failed hand-out. What is tried again, by whom and how long is decided in `Poison.swift`.
  mutating func countFailure(at place: Int, _ attempt: Attempt, reason: String, now: Instant) {
    noteFailure(of: attempt, reason: reason, now: now)
    guard open?.shards[place].counted == nil else { return }
    open?.shards[place].failures.addError(attempt.owner, reason: reason)
    leaveToOthers(place, after: attempt, now: now)
    judgePoison(now: now)
  }

  /// A worker was lost over a shard: perhaps the shard has ended its process. It counts until that process joins again;
  /// then it was the connection.
  private mutating func countLoss(at place: Int, _ attempt: Attempt, reason: String, now: Instant) {
    // Of a worker in quarantine it is known why it went.
    if voided.contains(attempt.identity) { return }
    if !attempt.hasReturned { noteFailure(of: attempt, reason: reason, isLoss: true, now: now) }
    guard open?.shards[place].counted == nil else { return }
    open?.shards[place].failures.addLoss(
      attempt.owner, process: attempt.process, hasReturned: attempt.hasReturned, reason: reason)
    leaveToOthers(place, after: attempt, now: now)
    judgePoison(now: now)
  }

  /// A process that was in a session of this term joins again: it has lost its connection, and nothing else.
  mutating func cameBack(_ process: String, _ identity: String) {
    for number in attempts.keys where attempts[number]?.process == process {
      attempts[number]?.hasReturned = true
    }
    for place in (open?.shards ?? []).indices { open?.shards[place].failures.cameBack(process) }
    forgiveLoss(of: identity)
  }

  mutating func record(
    _ attempt: Attempt, _ outcome: AttemptOutcome, verified: Bool = false, finished: Instant
  ) {
    let assignment = attempt.assignment
    persist(
      .record(
        EndedAttempt(
          attempt: assignment.attempt, purpose: assignment.unit.purpose, step: assignment.unit.step,
          firstMicroBatch: assignment.leaves.lowerBound, lastMicroBatch: assignment.leaves.upperBound - 1,
          tiers: assignment.shard.tiers, workerID: attempt.workerID, handedOut: attempt.handedOut,
          finished: finished, outcome: outcome, verified: verified)))
  }

  func name(of attempt: Attempt) -> String { attempt.assignment.shard.name(in: attempt.assignment.unit) }
}
