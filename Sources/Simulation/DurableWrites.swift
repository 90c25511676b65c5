import Coordination

/// All that the coordinator writes passes through here: it is written, or the run waits until it can be, as in
/// CoordinatorService. It may be killed at each write, or find the disk at fault.
extension Simulation {
  /// Writes in a transaction, after the time that the disk takes, and goes on once it is there. While the disk is at
  /// fault nothing counts as written, and it is tried again. What was refused may be there all the same, as after a
  /// sync that failed; so `write` is told whether it was tried before.
  func durably(
    _ name: String, seconds: Double? = nil,
    _ write: @escaping (inout SimulatedDisk, _ isRepeated: Bool) -> Void,
    then: @escaping (Simulation) -> Void
  ) {
    later("\(name) is written", seconds ?? scenario.diskSeconds) {
      $0.write(name, isRepeated: false, delay: 1, write, then)
    }
  }

  private func write(
    _ name: String, isRepeated: Bool, delay: Double,
    _ write: @escaping (inout SimulatedDisk, _ isRepeated: Bool) -> Void,
    _ then: @escaping (Simulation) -> Void
  ) {
    guard now < diskFaultUntil else {
      if persist(name, { write(&$0, isRepeated) }) { then(self) }
      return
    }
    outcome.count("writes refused by the disk")
    if random.chance(0.3) {
      outcome.count("refused writes that were there")
      write(&disk, isRepeated)
    }
    again(name, delay) { $0.write(name, isRepeated: true, delay: min(10, 2 * delay), write, then) }
  }

  private func again(_ name: String, _ seconds: Double, _ work: @escaping (Simulation) -> Void) {
    guard let coordinator else { return }
    note("paused (disk): \(name); trying again in \(Int(seconds)) s")
    events.add(
      .coordinatorWork(life: coordinator.life, name: "\(name), once more", work), at: now + seconds)
  }

  /// Does something later, beside the coordinator's loop; never, if it is gone by then.
  func later(_ name: String, _ seconds: Double, _ work: @escaping (Simulation) -> Void) {
    guard let coordinator else { return }
    events.add(
      .coordinatorWork(life: coordinator.life, name: name, work),
      at: now + seconds * Double.random(in: 0.5...2, using: &random))
  }

  // MARK: - Where the coordinator may be killed

  /// A transaction with its fsync.
  ///
  /// - Returns: whether the coordinator lives on. If not, the write has been done or not done.
  func persist(_ name: String, _ write: (inout SimulatedDisk) -> Void) -> Bool {
    let lives = transact(name, write)
    if let fault = disk.fault { problem(fault) }
    if !lives { killCoordinator(.coordinatorKilledAtPersist) }
    return lives
  }

  func transact(_ name: String, _ write: (inout SimulatedDisk) -> Void) -> Bool {
    persists += 1
    let isHere = persists == scenario.killAtPersistNumber
    if isHere || (isFaulty && coordinator != nil && random.chance(scenario.killsAtPersist)) {
      // Exactly half of the crashes that are asked for by number come before the write is on the disk.
      let isDone = isHere ? scenario.seed % 2 == 1 : random.chance(0.5)
      note("persist \(persists), \(name): killed, \(isDone ? "done" : "not done")")
      if isDone { write(&disk) }
      // Before there is a process to kill, its start simply fails.
      if coordinator == nil { events.add(.coordinatorStart, at: now + scenario.restartSeconds) }
      return false
    }
    write(&disk)
    return true
  }
}
