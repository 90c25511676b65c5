import Ledger

/// Going back: a worker was found to compute wrongly, and results of it that nobody verified are in committed steps.
extension CoordinatorService {
  /// Puts a worker's identity in quarantine, for ever; the run goes back as soon as the present step is out of hand.
  func quarantine(workerID: Int, identity: String, reason: String) {
    logger.error("worker \(workerID) (\(identity)) is in quarantine: \(reason)")
    notes.append(
      .quarantined(QuarantineRecord(identity: identity, term: run.term, worker: workerID, reason: reason)))
    if !toUndo.contains(identity) { toUndo.append(identity) }
    // Not after the step at hand: a crash until then would forget it.
    notesDue = MonotonicClock.now()
    // Another process on this machine would compute alike.
    if let index = members[workerID]?.localIndex { localWorkers.retire(index) }
  }

  /// Undoes what the identities in quarantine did, as far as nobody else came to the same.
  func rollBack() throws {
    let (identities, records, notes, run) = (toUndo, takeRecords(), takeNotes(), run)
    try durably("recording the quarantine") { _ in
      try run.ledger.record(assignments: records, notes: notes)
    }
    let returns = try durably("going back") { isRepeated in
      let returns = try identities.compactMap { try run.rollBack(identity: $0) }
      // An earlier try may have changed the ledger, but not yet the files.
      if isRepeated { try run.followLedger() }
      return returns
    }
    toUndo = []
    guard try windowsAreVoid || run.ledger.lastStep() < progress.step || !returns.isEmpty else { return }
    windowsAreVoid = false
    for record in returns {
      logger.error(
        """
        went back from step \(record.fromStep) to step \(record.toStep): \(record.identity) computed wrongly, and \
        nobody verified its results from step \(record.firstUnverifiedStep) on
        """)
    }
    try restore()
    snapshots.rollBack(to: progress.step)
    try publishTiers()
  }
}
