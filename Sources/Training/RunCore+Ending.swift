import Coordination

/// Stopping, resting, and the end of a run.
extension RunCore {
  // MARK: - Stopping

  /// The step in hand is finished, if there is somebody to compute it and time; everything else is left for when the
  /// run goes on.
  mutating func stop(by deadline: Instant, now: Instant) {
    guard stopDeadline == nil else { return }
    stopDeadline = deadline
    switch stage {
    case .computing(let inHand) where inHand.unit.purpose == .evaluate:
      effects.append(.abandon)
      hasLeftUnit = true
      beginStop(now: now)
    case .computing, .completing, .auditing: effects.append(.hurry)
    case .waitingForDisk(let pause):
      fail(
        TrainingError(
          "stopped while \(pause.wait.cause.name) could not be written: \(pause.wait.reason)",
          remedy: "everything that was committed is safe; go on with: \(rules.resumeCommand)"), now: now)
    case .paused: beginStop(now: now)
    case .begun, .judging, .keeping, .applying, .adopting, .writing, .draining, .ended: break
    }
  }

  var graceIsOver: String { "the \(Int(rules.graceSeconds)) s of --grace are over" }

  /// A unit is not computed: the run has been asked to stop, and nobody is there, or not in time.
  mutating func left(_ unit: String, because reason: String, now: Instant) {
    guard stopDeadline != nil else { return }
    effects.append(.abandon)
    switch stage {
    case .computing(let inHand): windowsAreAhead = inHand.unit.window
    case .completing(_, .snapshot(.stop)):
      tell(.notice("\(reason), and windows are with the workers: the run will go on from its last snapshot"))
      return close(.stopped, now: now)
    case .completing(_, .apply(let step)): windowsAreAhead = step.unit.window
    // What has come is in the fleet's books, and is not used.
    case .auditing: windowsAreAhead = true
    case .completing(_, .snapshot), .completing(_, .finish): break
    default: return
    }
    hasLeftUnit = true
    tell(.notice("\(reason): \(unit) is computed when the run goes on"))
    beginStop(now: now)
  }

  /// After Ctrl-C: everything needed to go on is written.
  mutating func beginStop(now: Instant) {
    guard progress.step > 0 else { return close(.stopped, now: now) }
    write(.checkpoint(.step(progress.step), progress, isReplay: isReplay), then: .stopCheckpoint, now: now)
  }

  mutating func snapshotAtStop(now: Instant) {
    if windowsAreVoid {
      tell(.notice("a worker's sums were found to be wrong, so the run will go on from its last snapshot"))
      return close(.stopped, now: now)
    }
    if windowsAreAhead {
      tell(
        .notice("workers' sums are ahead of the last step, so the run will go on from its last snapshot"))
      return close(.stopped, now: now)
    }
    effects.append(.hurry)
    completeWindows(
      plan.openTiers(after: progress.step), through: progress.step, for: .snapshot(.stop), now: now)
  }

  // MARK: - Resting

  mutating func beginPause(now: Instant) {
    guard progress.step > snapshots.lastStep else { return rest(now: now) }
    completeWindows(
      plan.openTiers(after: progress.step), through: progress.step, for: .snapshot(.pause), now: now)
  }

  /// It may have been told to go on while it was writing everything down.
  mutating func rest(now: Instant) {
    guard pauseRequested, stopDeadline == nil else { return goOn(now: now) }
    stage = .paused(since: now)
    effects.append(.rest(true))
    tell(.notice("paused after step \(progress.step)"))
  }

  mutating func resume(now: Instant) {
    pauseRequested = false
    guard case .paused = stage else { return }
    effects.append(.rest(false))
    tell(.notice("goes on after step \(progress.step)"))
    goOn(now: now)
  }

  // MARK: - The end

  /// Records how the run ended, and puts everything on the disk that is not there yet.
  mutating func close(_ ending: RunEnding, now: Instant) {
    write(.end(ending), then: .closed(ending), now: now)
  }

  mutating func closed(_ ending: RunEnding, now: Instant) {
    if case .stopped = ending, hasLeftUnit || rules.keepsWorkersAtStop { return sayWhoLeft(ending, now: now) }
    stage = .draining(ending)
    effects.append(.drain)
  }

  mutating func drained(now: Instant) {
    if case .draining(let ending) = stage { sayWhoLeft(ending, now: now) }
  }

  /// How the workers left once the run was over: for the record alone, so that a disk which does not take it is no
  /// matter.
  private mutating func sayWhoLeft(_ ending: RunEnding, now: Instant) {
    write(.nothing, then: .end(ending), now: now)
  }

  /// The run cannot go on. What its last hand-outs came to is put down, if the disk takes it.
  mutating func fail(_ error: any Error, now: Instant) {
    takeBack()
    write(.end(.failed(error)), then: .end(.failed(error)), now: now)
  }

  mutating func end(_ ending: RunEnding) {
    stage = .ended
    effects.append(.end(ending))
  }
}
