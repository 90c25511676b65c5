import Ledger

/// Going back to before results that are not to be trusted.
extension OpenRun {
  /// Makes everything void that may hold unverified results of an identity in quarantine, and everything after it; the
  /// caller restores the state then. May be called again after a failure: what is done is not done twice.
  ///
  /// - Returns: the return, or nil if there is nothing to undo.
  func goBack(identity: String) throws -> ReturnRecord? {
    guard let first = try ledger.firstUnverifiedStep(of: identity) else { return nil }
    let record = try ledger.goBack(
      to: stepToGoBackTo(before: first), identity: identity, firstUnverifiedStep: first)
    try followLedger()
    return record
  }

  /// The identities in quarantine that still have unverified results in the record.
  func identitiesToUndo() throws -> [String] {
    try ledger.quarantined().map(\.identity).filter { try ledger.firstUnverifiedStep(of: $0) != nil }
  }

  /// The latest snapshot before `step` whose best checkpoint is still there, or will be written again; 0 without one.
  private func stepToGoBackTo(before step: Int) throws -> Int {
    let best = CheckpointWriter.Kind.best.name
    let recorded = try ledger.checkpoints().first { FileSystem.name(of: $0.path) == best }?.step
    let present = max(recorded ?? 0, checkpoints.writtenStep(best) ?? 0)
    for record in try ledger.snapshots() where record.step < step {
      guard let snapshot = try? snapshots.open(record.manifest),
        let progress = try? RunProgress(json: snapshot.state["progress"] ?? nil)
      else { continue }
      let isThere = present <= record.step
      let comesAgain = progress.savedBestStep == 0 || progress.savedBestStep < progress.bestStep
      if isThere || comesAgain { return record.step }
    }
    return 0
  }
}
