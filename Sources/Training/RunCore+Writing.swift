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
    case savedScaled
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

  /// Writes, and goes on with what follows.
  mutating func write(_ content: RunWrite.Content, then next: Next, now: Instant) {
    let write = takeWrite(content)
    stage = .writing(PendingWrite(write: write, next: next, began: now))
    effects.append(.write(write))
  }

  /// A write that takes along all that waits for the ledger, and what is on the way there: that may fail, and the
  /// hand-outs of this one are of workers that it names.
  mutating func takeWrite(_ content: RunWrite.Content) -> RunWrite {
    lastWriteID += 1
    if let news = newsOnTheWay { takeBack(news) }
    let attempts = takeAttempts(for: content).map { record in
      var record = record
      record.verified = record.verified || auditedAttempts.contains(record.attempt)
      return record
    }
    defer {
      (workerNews, newsDue) = ([], nil)
      auditedAttempts.formIntersection(self.attempts.map(\.attempt))
      hasTakenBack = false
    }
    var write = RunWrite(id: lastWriteID, content: content, attempts: attempts, workers: workerNews)
    write.isRepeated = hasTakenBack
    return write
  }

  /// The hand-outs that go along with a write. Those whose results count are recorded with what they count for: a step, an
  /// evaluation, or the state that windows are part of; they count no more once that is not used.
  private mutating func takeAttempts(for content: RunWrite.Content) -> [EndedAttempt] {
    let isHeld: (EndedAttempt) -> Bool
    switch content {
    case .step, .replayedStep, .evaluation: isHeld = { _ in false }
    case .rollback, .end:
      for index in attempts.indices where attempts[index].outcome == .committed {
        attempts[index].outcome = .stale
      }
      isHeld = { _ in false }
    case .checkpoint, .snapshot: isHeld = { $0.outcome == .committed && $0.isOfUnit }
    case .tiers, .nothing: isHeld = { $0.outcome == .committed }
    }
    defer { attempts = attempts.filter(isHeld) }
    return attempts.filter { !isHeld($0) }
  }

  /// A write is given up. What it took along waits for the next one; it may be on the disk all the same.
  mutating func takeBack() {
    let given: RunWrite
    switch stage {
    case .writing(let pending): given = pending.write
    case .waitingForDisk(let pause): given = pause.pending.write
    default: return
    }
    takeBack(given)
  }

  mutating func takeBack(_ given: RunWrite) {
    (attempts, workerNews) = (given.attempts + attempts, given.workers + workerNews)
    hasTakenBack = true
    if newsOnTheWay?.id == given.id { newsOnTheWay = nil }
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
      progress.evaluated(
        loss: outcome.loss, accuracy: outcome.accuracy, worst: WorstTask.of(outcome.tasks.map(\.sums)),
        rules.config)
      tell(.evaluation(outcome))
      follow(outcome.accuracy, now: now)
    case .savedBest:
      progress.savedBest()
      goOn(now: now)
    case .savedCheckpoint:
      progress.savedCheckpoint()
      snapshotOfCheckpoint(now: now)
    case .savedScaled:
      progress.savedScaled()
      tell(.scaled(progress.selectedScale))
      goOn(now: now)
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
      plan.openTiers(after: progress.step), through: progress.step, for: .snapshot(.due), now: now)
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

extension EndedAttempt {
  /// Whether its result is of a step or an evaluation, and not of what windows lack.
  fileprivate var isOfUnit: Bool { purpose == .train || purpose == .evaluate }
}
