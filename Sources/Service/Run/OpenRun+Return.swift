import Files
import Ledger
import Training

/// Going back to before results that are not to be trusted.
extension OpenRun {
  /// Makes everything void that may hold unverified results of an identity in quarantine, and everything after it; the
  /// caller restores the state then. May be called again after a failure: what is done is not done twice.
  func rollBack(identity: String) throws {
    guard let first = try ledger.firstUnverifiedStep(of: identity) else { return }
    _ = try ledger.rollBack(
      to: stepToGoBackTo(before: first), identity: identity, firstUnverifiedStep: first)
    try followLedger()
  }

  /// Goes back because somebody asked for it. The best checkpoint, if it came later, is written again when the run gets
  /// there: its evaluation gives the same loss.
  ///
  /// - Parameter step: see `ReturnSteps`.
  /// - Throws: `ServiceError` that lists the steps to go back to.
  func rollBack(byHandTo step: Int) throws -> ReturnRecord {
    let steps = try ReturnSteps(ledger: ledger, snapshots: snapshots)
    try steps.check(step, folder: folder.path)
    let record = try ledger.rollBack(byHandTo: step)
    try followLedger()
    return record
  }

  /// Makes everything void from the last snapshot before a step on, as something was wrong in what the step was made
  /// from, and nobody can be named. May be called again after a failure: what is done is not done twice.
  func rollBack(before step: Int) throws {
    guard try ledger.lastStep() >= step else { return }
    _ = try ledger.rollBack(to: stepToGoBackTo(before: step), identity: "", firstUnverifiedStep: step)
    try followLedger()
  }

  /// Those that the core has not been told of: also what an earlier try has gone back, and failed over later.
  func newReturns() throws -> [ReturnRecord] {
    let returns = try ledger.returns().filter { $0.reason != .byHand }
    return Array(returns.dropFirst(returnsTold))
  }

  /// The identities in quarantine that still have unverified results in the record.
  func identitiesToUndo() throws -> [String] {
    try ledger.quarantined().map(\.identity).filter { try ledger.firstUnverifiedStep(of: $0) != nil }
  }

  private func stepToGoBackTo(before step: Int) throws -> Int {
    let best = CheckpointWriter.Kind.best.name
    let recorded = try ledger.checkpoints().first { FileSystem.name(of: $0.path) == best }?.step
    let present = max(recorded ?? 0, checkpoints.writtenStep(best) ?? 0)
    let store = snapshots
    let readable = try ledger.snapshots().lazy.filter { $0.step < step }.compactMap { record in
      (try? store.open(record.manifest)).flatMap { snapshot in
        (try? RunProgress(json: snapshot.state["progress"] ?? nil)).map { (step: record.step, progress: $0) }
      }
    }
    return ReturnPoint.step(before: step, bestCheckpoint: present, snapshots: readable)
  }
}
