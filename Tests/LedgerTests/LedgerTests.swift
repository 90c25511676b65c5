import Foundation
import GRDB
import JSON
import Testing

@testable import Ledger

/// What the ledger promises: a step stands whole or not at all, once, in order, and only for the coordinator of
/// the latest term (Sources/README.md, invariants 6 and 9).
@Suite struct LedgerTests {
  let folder: TemporaryFolder

  init() throws { folder = try TemporaryFolder() }

  @Test func givesBackWhatWasCommittedAfterReopening() throws {
    let loss = 2.123_456_789_012_345_6
    do {
      let ledger = try workingLedger(in: folder)
      try ledger.record(tiers: [tier(0, version: 0), tier(1, version: 0)])
      try ledger.commit(step(1, loss: loss), tiers: [tier(0, version: 1)], assignments: [handOut(1, term: 1)])
      try ledger.commit(step(2), tiers: [], assignments: [])
      try ledger.close()
    }
    let ledger = try Ledger.open(at: folder.file("state.sqlite"))
    #expect(try ledger.lastStep() == 2)
    #expect(try ledger.step(1) == step(1, loss: loss))
    #expect(try ledger.step(3) == nil)
    #expect(try ledger.tiers() == [tier(0, version: 1), tier(1, version: 0)])
    #expect(try ledger.assignments(step: 1) == [handOut(1, term: 1)])
    #expect(try ledger.workers() == [worker(1, term: 1)])
    #expect(try ledger.stepMetrics(after: 1).map(\.step) == [2])
    #expect(try ledger.stepMetrics(after: 0).map(\.row) == [step(1, loss: loss).metrics, step(2).metrics])
    let status = try ledger.status()
    #expect(status == RunRow(run: demoRun, term: 1, state: "running", reason: nil, lastStep: 2))
  }

  /// What came along with something that failed after it is recorded once, however often it is tried.
  @Test func whatMayBeThereIsRecordedOnce() throws {
    let ledger = try workingLedger(in: folder)
    let rows = [handOut(1, term: 1), handOut(2, term: 1, worker: 2)]
    let notes: [WorkerNote] = [.joined(worker(2, term: 1)), .left(id: 1, reason: "lost", at: noon)]
    try ledger.record(assignments: rows, notes: notes)
    #expect(throws: LedgerError.self) { try ledger.record(assignments: rows, notes: notes) }
    try ledger.record(assignments: rows + [handOut(3, term: 1)], notes: notes, mayBeThere: true)
    #expect(try ledger.assignments(step: 1) == rows + [handOut(3, term: 1)])
    #expect(try ledger.workers() == [worker(1, term: 1), worker(2, term: 1)])
  }

  /// SQLite: in write-ahead-log mode only `synchronous = FULL` (2) syncs the log at every commit.
  @Test func everyCommitIsSynced() throws {
    let ledger = try workingLedger(in: folder)
    let (journal, synchronous) = try ledger.pool().writeWithoutTransaction { db in
      (try String.fetchOne(db, sql: "PRAGMA journal_mode"), try Int.fetchOne(db, sql: "PRAGMA synchronous"))
    }
    #expect(journal == "wal")
    #expect(synchronous == 2)
  }

  /// The step and the tier come before the part that fails: a hand-out to a worker that nobody recorded, and one
  /// whose attempt is there already.
  @Test(arguments: [handOut(2, term: 1, worker: 9), handOut(1, term: 1)])
  func aCommitThatFailsLeavesNothing(bad: AssignmentRow) throws {
    let ledger = try workingLedger(in: folder)
    try ledger.record(tiers: [tier(0, version: 0)])
    try ledger.commit(step(1), tiers: [], assignments: [handOut(1, term: 1)])
    #expect(throws: LedgerError.self) {
      try ledger.commit(
        step(2), tiers: [tier(0, version: 1)], assignments: [handOut(7, term: 1, step: 2), bad])
    }
    #expect(try ledger.lastStep() == 1)
    #expect(try ledger.tiers() == [tier(0, version: 0)])
    #expect(try ledger.assignments(step: 2) == [])
    try ledger.commit(step(2), tiers: [tier(0, version: 1)], assignments: [handOut(7, term: 1, step: 2)])
    #expect(try ledger.lastStep() == 2)
  }

  /// A step may take along what another write has recorded before it, or has failed to.
  @Test func commitsWithWhatMayBeThere() throws {
    let ledger = try workingLedger(in: folder)
    try ledger.record(tiers: [tier(0, version: 0)])
    let (notes, handOuts) = ([WorkerNote.joined(worker(5, term: 1))], [handOut(3, term: 1, worker: 5)])
    try ledger.record(assignments: handOuts, notes: notes)
    try ledger.commit(step(1), tiers: [], assignments: handOuts, notes: notes, mayBeThere: true)
    let evaluation = EvaluationRecord(
      step: 1, loss: 1, perplexity: 2, tokens: 3, isBest: true, seconds: 1, metrics: [:])
    try ledger.record(evaluation: evaluation, assignments: handOuts, notes: notes, mayBeThere: true)
    #expect(try ledger.assignments(step: 1).map(\.attempt) == [3])
  }

  @Test(arguments: [(1, 1), (1, 3), (2, 1), (0, 0), (0, 2)]) func stepsFollowEachOther(
    committed: Int, offered: Int
  ) throws {
    let ledger = try workingLedger(in: folder)
    for number in 0..<committed { try ledger.commit(step(number + 1), tiers: [], assignments: []) }
    #expect {
      try ledger.commit(step(offered), tiers: [], assignments: [])
    } throws: { error in
      guard case LedgerError.outOfOrder(step: offered, expected: committed + 1) = error else { return false }
      return true
    }
    #expect(try ledger.lastStep() == committed)
  }

  @Test(arguments: [Double.nan, .infinity, -.infinity]) func refusesALossThatIsNoNumber(loss: Double) throws {
    let ledger = try workingLedger(in: folder)
    #expect(throws: LedgerError.self) { try ledger.commit(step(1, loss: loss), tiers: [], assignments: []) }
    #expect(try ledger.lastStep() == 0)
  }

  /// Two coordinators on one database: as soon as the second has begun its term, the first can write nothing.
  @Test func aLaterTermFencesTheEarlierOne() throws {
    let old = try workingLedger(in: folder)
    try old.commit(step(1), tiers: [], assignments: [])
    let new = try Ledger.open(at: folder.file("state.sqlite"))
    #expect(try new.beginTerm() == 2)

    let writes: [(String, () throws -> Void)] = [
      ("commit", { try old.commit(step(2), tiers: [], assignments: []) }),
      ("tiers", { try old.record(tiers: [tier(0, version: 1)]) }),
      ("hand-outs", { try old.record(assignments: [handOut(5, term: 1)]) }),
      ("worker", { try old.record(worker: worker(2, term: 1)) }),
      ("worker left", { try old.workerLeft(1, reason: "lost") }),
      ("evaluation", { try old.record(evaluation: evaluation(1, loss: 2)) }),
      ("checkpoint", { try old.record(checkpoint: checkpoint("checkpoints/best", step: 1)) }),
      ("forget", { try old.forget(checkpoint: "checkpoints/best") }),
      ("snapshot", { try old.record(snapshot: snapshot(1)) }),
      ("prune", { _ = try old.pruneSnapshots(keeping: [1]) }),
      ("finish", { try old.finish(.completed(reason: "")) }),
    ]
    for (name, write) in writes {
      #expect("\(name)") {
        try write()
      } throws: { error in
        guard case LedgerError.fenced(_, term: 1, current: 2) = error else { return false }
        return true
      }
    }
    #expect(try new.lastStep() == 1)
    try new.commit(step(2), tiers: [], assignments: [])
  }

  @Test func termsGoUpByOneForEver() throws {
    var terms: [UInt64] = []
    _ = try Ledger.create(at: folder.file("state.sqlite"), run: demoRun)
    for _ in 0..<3 { terms.append(try Ledger.open(at: folder.file("state.sqlite")).beginTerm()) }
    #expect(terms == [1, 2, 3])
  }

  @Test func anEvaluationMayBeRepeatedButNotContradicted() throws {
    let ledger = try workingLedger(in: folder)
    try ledger.record(evaluation: evaluation(2, loss: 1.5))
    try ledger.record(evaluation: evaluation(2, loss: 1.5), assignments: [handOut(3, term: 1, step: 2)])
    #expect(throws: LedgerError.self) { try ledger.record(evaluation: evaluation(2, loss: 1.5.nextUp)) }
    #expect(try ledger.evaluations() == [evaluation(2, loss: 1.5)])
    #expect(try ledger.assignments(step: 2).count == 1)
    #expect(try ledger.evaluationMetrics(after: 1).map(\.row) == [evaluation(2, loss: 1.5).metrics])
    #expect(try ledger.evaluationMetrics(after: 2).isEmpty)
  }

  @Test func keepsTheFilesThatExist() throws {
    let ledger = try workingLedger(in: folder)
    for number in 1...4 {
      try ledger.record(snapshot: snapshot(number))
      try ledger.record(checkpoint: checkpoint("checkpoints/checkpoint_000000\(number)", step: number))
      try ledger.record(checkpoint: checkpoint("checkpoints/best", step: number))
    }
    try ledger.forget(checkpoint: "checkpoints/checkpoint_0000001")
    try ledger.forget(checkpoint: "checkpoints/never-written")
    #expect(
      try ledger.checkpoints().map { "\($0.path) \($0.step)" } == [
        "checkpoints/checkpoint_0000002 2", "checkpoints/checkpoint_0000003 3", "checkpoints/best 4",
        "checkpoints/checkpoint_0000004 4",
      ])
    #expect(try ledger.latestSnapshot() == snapshot(4))
    #expect(try ledger.pruneSnapshots(keeping: [4, 3]) == [snapshot(4), snapshot(3)])
    #expect(try ledger.snapshots() == [snapshot(4), snapshot(3)])
  }

  @Test func saysHowTheRunEndedUntilItIsResumed() throws {
    let ledger = try workingLedger(in: folder)
    try ledger.finish(.stopped(reason: "interrupted"), at: noon)
    #expect(try ledger.status().state == "stopped")
    #expect(try ledger.status().reason == "interrupted")
    _ = try ledger.beginTerm()
    #expect(try ledger.status().state == "running")
    #expect(try ledger.status().reason == nil)
  }

  @Test func aWorkerLeavesOnce() throws {
    let ledger = try workingLedger(in: folder)
    try ledger.workerLeft(1, reason: "lost", at: noon)
    try ledger.workerLeft(1, reason: "drained", at: noon)
    let reason = try ledger.read("") { try String.fetchOne($0, sql: "SELECT left_reason FROM workers") }
    #expect(reason == "lost")
  }

  @Test func readOnlyAccessReadsBesideTheWriterAndWritesNothing() throws {
    let ledger = try workingLedger(in: folder)
    let reader = try Ledger.open(at: folder.file("state.sqlite"), access: .readOnly)
    try ledger.commit(step(1), tiers: [], assignments: [])
    #expect(try reader.lastStep() == 1)
    #expect(throws: LedgerError.self) { try reader.beginTerm() }
  }

  /// After a clean end there is no write-ahead log for the reader to share.
  @Test func readOnlyAccessReadsARunThatHasEnded() throws {
    let ledger = try workingLedger(in: folder)
    try ledger.commit(step(1), tiers: [], assignments: [])
    try ledger.close()
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["state.sqlite"])
    let reader = try Ledger.open(at: folder.file("state.sqlite"), access: .readOnly)
    #expect(try reader.lastStep() == 1)
    #expect(try reader.step(1) == step(1))
  }

  @Test func namesWhatItCannotOpen() throws {
    let path = folder.file("state.sqlite")
    #expect(message { _ = try Ledger.open(at: path) }?.contains("\(path): there is no ledger here") == true)

    try Data(repeating: 0x41, count: 4096).write(to: URL(fileURLWithPath: folder.file("text")))
    #expect(
      message { _ = try Ledger.open(at: folder.file("text")) }?.contains("not the ledger of a run") == true)

    try DatabaseQueue(path: folder.file("other")).write { try $0.execute(sql: "CREATE TABLE t (a)") }
    #expect(message { _ = try Ledger.open(at: folder.file("other")) }?.contains("of another program") == true)

    let ledger = try workingLedger(in: folder)
    #expect(
      message { _ = try Ledger.create(at: path, run: demoRun) }?.contains("a ledger here already") == true)
    try ledger.pool().write {
      try $0.execute(sql: "INSERT INTO grdb_migrations VALUES ('99: from the future')")
    }
    try ledger.close()
    #expect(message { _ = try Ledger.open(at: path) }?.contains("newer version") == true)
  }

  /// Overwrites the beginnings of pages, as a failing disk does.
  private func damage(_ path: String, pages: (Int) -> Bool) throws {
    let file = try FileHandle(forUpdating: URL(fileURLWithPath: path))
    let size = try file.seekToEnd()
    for page in 1..<Int(size / 4096) where pages(page + 1) {
      try file.seek(toOffset: UInt64(4096 * page))
      try file.write(contentsOf: Data(repeating: 0xA5, count: 64))
    }
    try file.close()
  }

  /// A coordinator that takes the run finds it.
  @Test func noticesDamage() throws {
    let ledger = try workingLedger(in: folder)
    for number in 1...200 { try ledger.commit(step(number), tiers: [], assignments: []) }
    try ledger.close()
    try damage(folder.file("state.sqlite")) { _ in true }
    #expect(throws: LedgerError.self) {
      try Ledger.open(at: folder.file("state.sqlite")).checkWhatIsNeeded()
    }
  }

  /// Where only pages of old steps are damaged, the run can be looked at and go on, since to open a ledger does not mean
  /// to read it; to check it does.
  @Test func damageOfOldStepsIsFoundByWhoeverLooksForIt() throws {
    let ledger = try workingLedger(in: folder)
    try ledger.pool().write { try longRun($0, steps: 2000) }
    #expect(try ledger.findings() == [])
    // The leaves of the table's tree are in the order of steps.
    let leaves = try ledger.read("") { db in
      try Int.fetchAll(
        db, sql: "SELECT pageno FROM dbstat WHERE name = 'steps' AND pagetype = 'leaf' ORDER BY path")
    }
    // Out of the write-ahead log, which would still have the page.
    try ledger.pool().writeWithoutTransaction { try $0.execute(sql: "PRAGMA wal_checkpoint(TRUNCATE)") }
    try ledger.close()
    try damage(folder.file("state.sqlite")) { $0 == leaves[1] }
    let reader = try Ledger.open(at: folder.file("state.sqlite"), access: .readOnly)
    #expect(try reader.lastStep() == 2000)
    #expect(try !reader.findings().isEmpty)
    try reader.close()
    let taken = try Ledger.open(at: folder.file("state.sqlite"))
    try taken.checkWhatIsNeeded()
    _ = try taken.beginTerm()
    try taken.commit(step(2001), tiers: [], assignments: [])
  }

  /// Another program's connection holds the ledger; the reference is the same call once it has let go.
  @Test func aLockedLedgerHasAName() throws {
    try workingLedger(in: folder).close()
    let ledger = try Ledger.open(at: folder.file("state.sqlite"), busySeconds: 0.1)
    _ = try ledger.beginTerm()
    let other = try DatabaseQueue(path: folder.file("state.sqlite"))
    try other.inDatabase { db in
      try db.execute(sql: "BEGIN EXCLUSIVE")
      #expect { try ledger.commit(step(1), tiers: [], assignments: []) } throws: {
        ($0 as? LedgerError)?.isLocked == true && "\($0)".contains("locked by another program")
          && "\($0)".contains(ledger.path)
      }
      #expect { try ledger.reopen() } throws: { ($0 as? LedgerError)?.isLocked == true }
      #expect(try ledger.lastStep() == 0)
      try db.execute(sql: "ROLLBACK")
    }
    try ledger.reopen()
    try ledger.commit(step(1), tiers: [], assignments: [])
    #expect(try ledger.lastStep() == 1)
  }

  @Test func aSingleEvaluationIsFound() throws {
    let ledger = try workingLedger(in: folder)
    #expect(try ledger.lastEvaluatedStep() == 0)
    for number in [0, 4, 9] { try ledger.record(evaluation: evaluation(number, loss: Double(number))) }
    #expect(try ledger.evaluation(after: 4) == evaluation(4, loss: 4))
    #expect(try ledger.evaluation(after: 0) == evaluation(0, loss: 0))
    #expect(try ledger.evaluation(after: 5) == nil)
    #expect(try ledger.lastEvaluatedStep() == 9)
  }
}

private func evaluation(_ step: Int, loss: Double) -> EvaluationRecord {
  EvaluationRecord(
    step: step, loss: loss, perplexity: 4.5, tokens: 64, isBest: true, seconds: 0.5, evaluatedAt: noon,
    metrics: ["step": .number(step), "loss": .number(loss)])
}

private func checkpoint(_ path: String, step: Int) -> CheckpointRecord {
  CheckpointRecord(
    path: path, step: step, isBest: false, isFinal: false, bestValidationLoss: nil, writtenAt: noon)
}

private func snapshot(_ step: Int) -> SnapshotRecord {
  SnapshotRecord(step: step, manifest: "manifest \(step)", bytes: 100 * step, writtenAt: noon)
}

/// The description of the error that `body` throws; nil if it throws none.
private func message(_ body: () throws -> Void) -> String? {
  do { try body() } catch { return "\(error)" }
  return nil
}
