import Training

/// Files that cannot be read, or that are not what was written.
extension Simulation {
  /// Reads the state while reading may fail; it must be that of the newest snapshot that is sound, and of an older one
  /// only if reading did fail. What came after it has left the record.
  func read(
    _ run: SimulatedRun, _ store: SimulatedStore
  ) throws -> (StepEngine, RestoredRun) {
    let steps = run.disk.snapshots.map(\.step)
    // A write that failed in the end may have written anew what was damaged.
    if !store.damaged.isEmpty { noteDamage(store) }
    _ = store.log.take()
    let (result, isHit) = reading(store) { try store.restored() }
    if case .failure(let error) = result {
      note("the state cannot be read: \(error)")
      store.couldNotBeRead = isHit
      if !isHit { problem("the state cannot be read: \(error)") }
      // Of the damaged ones any number may have left the record.
      store.underWay += steps.indices.dropFirst().map { run.disk.without(newest: $0) }
      store.underWay.append(run.disk.without(newest: steps.count))
      throw error
    }
    let (engine, restored) = try result.get()
    let step = restored.progress.step
    let expected = steps.first { !store.damaged.contains($0) } ?? 0
    if isHit ? step > expected || !([0] + steps).contains(step) : step != expected {
      problem("the run is restored from step \(step), not \(expected)")
    }
    let lost = steps.filter { $0 > step }
    let told = store.log.take()
    for step in lost where !told.contains(where: { $0.contains("the snapshot of step \(step) is damaged") }) {
      problem("nobody is told that the snapshot of step \(step) is damaged")
    }
    if !lost.isEmpty { outcome.count("fell back to an older snapshot, or the start") }
    run.disk = run.disk.without(newest: lost.count)
    return (engine, restored)
  }

  private func reading<Value>(
    _ store: SimulatedStore, _ work: () throws -> Value
  ) -> (Result<Value, any Error>, isHit: Bool) {
    let volume = store.volume
    if isFaulty, store.more.chance(scenario.readErrors) {
      volume.planReadErrors(
        after: Int.random(in: 0..<20, using: &store.more), times: Int.random(in: 1...3, using: &store.more))
    }
    defer { volume.cancelPlan() }
    let hits = volume.counts.hits
    let result = Result { try work() }
    let isHit = volume.counts.hits > hits
    if isHit { outcome.count(.readError) }
    return (result, isHit)
  }

  /// A bit of a stored file may be another than it was.
  func rot(_ store: SimulatedStore) {
    guard isFaulty, store.more.chance(scenario.rot) else { return }
    do {
      guard try store.rot(using: &store.more) else { return }
      outcome.count(.rot)
      note("a stored file is damaged; the snapshots of steps \(store.damaged.sorted()) are")
    } catch { problem("the record of snapshots cannot be read: \(error)") }
  }

  func noteDamage(_ store: SimulatedStore) {
    do { try store.noteDamage() } catch { problem("the record of snapshots cannot be read: \(error)") }
  }
}

extension RunWrite {
  /// Whether a failure to read changes nothing of what it writes: not so of a checkpoint that a replay comes past,
  /// which is written anew, of the earlier step, if the one that is there cannot be read.
  var mayFailToRead: Bool {
    if case .checkpoint(.best, _, isReplay: true) = content { false } else { true }
  }
}
