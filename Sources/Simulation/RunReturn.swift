import Coordination
import Service
import WireProtocol

/// Wrong results in the course of a run: quarantine, and going back, as CoordinatorService has them.
extension Simulation {
  func quarantine(_ workerID: Int, _ identity: String, _ reason: String, _ coordinator: SimulatedCoordinator)
  {
    outcome.count("quarantined")
    if !liars.contains(identity) { problem("\(identity) has told no lie, and is in quarantine: \(reason)") }
    coordinator.quarantines.append(identity)
    if !coordinator.toUndo.contains(identity) { coordinator.toUndo.append(identity) }
    // Another process on this machine would compute alike.
    if let index = coordinator.members[workerID]?.localIndex { coordinator.retired.insert(index) }
    later("a quarantine is noted", 0.001) { $0.recordNotes() }
  }

  /// Not needed for anything at once, so a disk that does not take it is left to the next commit.
  private func recordNotes() {
    guard let coordinator, now >= diskFaultUntil, !coordinator.quarantines.isEmpty else { return }
    let quarantines = coordinator.quarantines
    if persist("a quarantine", { $0.record([], quarantined: quarantines) }) { coordinator.quarantines = [] }
  }

  func rollBack() {
    guard let coordinator else { return }
    let (rows, quarantines) = coordinator.takeRecords()
    let (identities, returns) = (coordinator.toUndo, disk.returns)
    coordinator.doing = "goes back"
    durably("the quarantine") { disk, _ in
      disk.record(rows, quarantined: quarantines)
    } then: {
      $0.durably("the return") { disk, _ in
        for identity in identities { disk.rollBack(identity: identity) }
      } then: {
        $0.wentBack(coordinator, isNew: $0.disk.returns > returns)
      }
    }
  }

  private func wentBack(_ coordinator: SimulatedCoordinator, isNew: Bool) {
    coordinator.toUndo = []
    guard coordinator.windowsAreVoid || disk.lastStep < coordinator.progress.step || isNew else {
      return goOn()
    }
    coordinator.windowsAreVoid = false
    outcome.count("went back")
    note("went back from step \(coordinator.progress.step) to step \(disk.lastStep)")
    do {
      coordinator.take(try restored(), replayedUpTo: disk.lastStep)
      coordinator.snapshots.rollBack(to: coordinator.progress.step)
      publish()
    } catch { problem("the run cannot go back: \(error)") }
  }

  /// Whether a lie is in what counts: then the state is as wrong as it is, until the lie is found.
  var isDeceived: Bool {
    guard let coordinator, !lies.isEmpty else { return false }
    return coordinator.rows.contains { lies.contains($0.key) }
      || disk.rows.keys.contains(where: lies.contains)
  }
}

extension SimulatedCoordinator {
  /// What is for the ledger since the last commit.
  func takeRecords() -> (rows: [SimulatedDisk.Row], quarantines: [String]) {
    defer { (rows, quarantines, audited) = ([], [], []) }
    let rows = rows.map { row in
      var row = row
      row.isVerified = row.isVerified || audited.contains(row.key.attempt)
      return row
    }
    return (rows, quarantines)
  }
}
