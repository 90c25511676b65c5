import Coordination
import NestedLearning

/// What follows a write, and what it waits for.
extension RunCore {
  enum Next: Sendable {
    case publish
    case committed(WorkUnit, AppliedStep)
    case evaluated(WorkUnit, EvaluationOutcome)
    case savedBest
    case savedCheckpoint
    case finalCheckpoint(RunEnding)
    case stopCheckpoint
    case snapshot(SnapshotReason)
    case rolledBack
    case closed(RunEnding)
    /// The last words of a run: nothing is tried again.
    case end(RunEnding)
  }

  /// A write that the run waits for.
  struct PendingWrite: Sendable {
    var write: RunWrite
    let next: Next
    /// When it was tried the last time.
    var began: Instant
    /// The wait for the disk that it is part of, if there was one.
    var pause: DiskPause.Wait?
  }

  /// A wait for the disk, or for a ledger that another program holds.
  struct DiskPause: Sendable {
    struct Wait: Sendable {
      var cause: WaitCause
      /// What was being written, and why it was not.
      var reason: String
      let since: Instant
      /// When the run ends rather than wait on.
      let deadline: Instant
      /// Seconds until the next try: 1, then twice as long each time, up to 10.
      var delay = 1.0
    }

    var pending: PendingWrite
    var wait: Wait
    var nextTry: Instant
    /// Whether the ledger is being opened anew.
    var isReopening = false
  }

  /// Writes, and goes on with what follows.
  mutating func write(_ content: RunWrite.Content, then next: Next, now: Instant) {
    let write = takeWrite(content)
    stage = .writing(PendingWrite(write: write, next: next, began: now))
    effects.append(.write(write))
  }

  /// A write that takes along all that waits for the ledger.
  mutating func takeWrite(_ content: RunWrite.Content) -> RunWrite {
    lastWriteID += 1
    let attempts = attempts.map { record in
      var record = record
      record.verified = record.verified || auditedAttempts.contains(record.attempt)
      return record
    }
    defer {
      (self.attempts, workerNews, auditedAttempts, newsDue) = ([], [], [], nil)
      hasTakenBack = false
    }
    var write = RunWrite(id: lastWriteID, content: content, attempts: attempts, workers: workerNews)
    write.isRepeated = hasTakenBack
    return write
  }

  /// A write is given up. What it took along waits for the next one; it may be on the disk all the same.
  mutating func takeBack() {
    let given: RunWrite
    switch stage {
    case .writing(let pending): given = pending.write
    case .waitingForDisk(let pause): given = pause.pending.write
    default: return
    }
    // What was to be committed counts only if it is there.
    let records = given.attempts.map { record in
      var record = record
      if record.outcome == .committed, given.commitsUnit { record.outcome = .stale }
      return record
    }
    (attempts, workerNews) = (records + attempts, given.workers + workerNews)
    hasTakenBack = true
  }

  mutating func written(_ id: RunWrite.ID, _ outcome: RunWriteOutcome, now: Instant) {
    if id == newsOnTheWay?.id { newsOnTheWay = nil }
    guard case .writing(let pending) = stage, pending.write.id == id else { return }
    if let pause = pending.pause {
      let seconds = Int(now.seconds(since: pause.since).rounded())
      tell(.notice("\(pause.cause.name) is back after \(seconds) s; the run goes on"))
    }
    follow(pending, outcome, now: now)
  }

  private mutating func follow(_ pending: PendingWrite, _ outcome: RunWriteOutcome, now: Instant) {
    let seconds = now.seconds(since: pending.began)
    if case .checkpoint = pending.write.content { tell(.spent(seconds, on: .checkpoint)) }
    switch pending.next {
    case .publish: publish(now: now)
    case .committed(let unit, let applied): committed(unit, applied, pending, now: now)
    case .evaluated(let unit, let outcome):
      effects.append(.acknowledge(unit))
      progress.evaluated(loss: outcome.loss, rules.config)
      tell(.evaluation(outcome))
      goOn(now: now)
    case .savedBest:
      progress.savedBest()
      goOn(now: now)
    case .savedCheckpoint:
      progress.savedCheckpoint()
      snapshotOfCheckpoint(now: now)
    case .finalCheckpoint(let ending): snapshot(.end(ending), now: now)
    case .stopCheckpoint:
      progress.savedCheckpoint()
      snapshotAtStop(now: now)
    case .snapshot(let reason): wroteSnapshot(reason, seconds: seconds, now: now)
    case .rolledBack: rolledBack(outcome, now: now)
    case .closed(let ending): closed(ending, now: now)
    case .end(let ending): end(ending)
    }
  }

  // MARK: - Snapshots

  mutating func snapshot(_ reason: SnapshotReason, now: Instant) {
    let isLast: Bool
    switch reason {
    case .due, .pause: isLast = false
    case .stop, .end: isLast = true
    }
    write(.snapshot(progress, withDigest: isLast), then: .snapshot(reason), now: now)
  }

  /// A checkpoint that is kept keeps the snapshot of its step, so that the run can go back to it.
  private mutating func snapshotOfCheckpoint(now: Instant) {
    guard !rules.config.saveBestOnly, snapshots.lastStep != progress.step else { return goOn(now: now) }
    completeWindows(
      rules.plan.openTiers(after: progress.step), through: progress.step, for: .snapshot(.due), now: now)
  }

  private mutating func wroteSnapshot(_ reason: SnapshotReason, seconds: Double, now: Instant) {
    snapshots.wrote(step: progress.step, seconds: seconds)
    tell(.spent(seconds, on: .snapshot))
    switch reason {
    case .due: goOn(now: now)
    case .pause: rest(now: now)
    case .stop: close(.stopped, now: now)
    case .end(let ending):
      // What has come in the meantime may have brought a worker's wrong results to light.
      if toUndo.isEmpty { close(ending, now: now) } else { goOn(now: now) }
    }
  }

  // MARK: - The disk

  mutating func writeFailed(_ id: RunWrite.ID, _ failure: WriteFailure, now: Instant) {
    if let news = newsOnTheWay, news.id == id {
      // Not needed for anything at once, so that it is left to the next write.
      newsOnTheWay = nil
      (attempts, workerNews) = (news.attempts + attempts, news.workers + workerNews)
      if case .other(let error) = failure { fail(error, now: now) }
      return
    }
    guard case .writing(var pending) = stage, pending.write.id == id else { return }
    if case .end(let ending) = pending.next { return end(ending) }
    switch failure {
    case .mayPass(let cause, let reason):
      pending.write.isRepeated = true
      pause(pending, cause, "\(pending.write.doing): \(reason)", now: now)
    case .differs(_, let recorded): cameOutOtherwise(pending, recorded: recorded, now: now)
    case .other(let error): fail(error, now: now)
    }
  }

  /// Nothing counts as written, workers are kept, and the same is tried again later.
  private mutating func pause(
    _ pending: PendingWrite, _ cause: WaitCause, _ reason: String, now: Instant
  ) {
    var pending = pending
    var wait =
      pending.pause
      ?? DiskPause.Wait(cause: cause, reason: "", since: now, deadline: now + rules.diskPatienceSeconds)
    guard stopDeadline == nil else {
      return fail(
        TrainingError(
          "stopped while \(cause.name) could not be written: \(reason)",
          remedy: "everything that was committed is safe; go on with: \(rules.resumeCommand)"), now: now)
    }
    guard now < wait.deadline else {
      return fail(
        TrainingError(
          "\(cause.name) did not come back within \(Int(rules.diskPatienceSeconds)) s: \(reason)",
          remedy: "then go on with: \(rules.resumeCommand)"), now: now)
    }
    if reason != wait.reason {
      let seconds = Int(wait.deadline.seconds(since: now))
      tell(.error("paused (\(cause.rawValue)): \(reason); trying again for \(seconds) s, workers are kept"))
    }
    (wait.cause, wait.reason) = (cause, reason)
    let nextTry = min(wait.deadline, now + wait.delay)
    wait.delay = min(10, 2 * wait.delay)
    pending.pause = wait
    stage = .waitingForDisk(DiskPause(pending: pending, wait: wait, nextTry: nextTry))
  }

  mutating func tryDiskAgain(now: Instant) {
    guard case .waitingForDisk(var pause) = stage, !pause.isReopening else { return }
    pause.isReopening = true
    pause.nextTry = .never
    stage = .waitingForDisk(pause)
    effects.append(.reopenLedger)
  }

  mutating func writeAgain(now: Instant) {
    guard case .waitingForDisk(let pause) = stage else { return }
    var pending = pause.pending
    pending.began = now
    stage = .writing(pending)
    effects.append(.write(pending.write))
  }

  mutating func reopenFailed(_ failure: WriteFailure, now: Instant) {
    guard case .waitingForDisk(let pause) = stage else { return }
    switch failure {
    case .mayPass(let cause, let reason):
      self.pause(pause.pending, cause, "\(pause.pending.write.doing): \(reason)", now: now)
    case .other(let error): fail(error, now: now)
    case .differs: break
    }
  }

  // MARK: - News of workers

  /// Puts down who came and went, for whoever looks at the ledger during a long step.
  mutating func note(_ news: WorkerNews, due: Instant) {
    workerNews.append(news)
    newsDue = min(newsDue ?? .never, due)
  }

  mutating func writeNews(now: Instant) {
    newsDue = nil
    guard newsOnTheWay == nil else {
      newsDue = now + 1
      return
    }
    // Where the run itself writes, or is about to, they come along.
    switch stage {
    case .computing, .completing, .auditing, .paused: break
    default:
      newsDue = now + 1
      return
    }
    let write = takeWrite(.nothing)
    newsOnTheWay = write
    effects.append(.write(write))
  }
}
