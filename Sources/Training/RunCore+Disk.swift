import Coordination

/// Writes that fail, and waiting for a disk, or for a ledger that another program holds.
extension RunCore {
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

  mutating func writeFailed(_ id: RunWrite.ID, _ failure: WriteFailure, now: Instant) {
    if let news = newsOnTheWay, news.id == id {
      // Not needed for anything at once, so that it is left to the next write.
      takeBack(news)
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
}
