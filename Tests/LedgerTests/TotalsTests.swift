import GRDB
import Testing

@testable import Ledger

/// Old hand-outs become totals, and sums are kept; the reference is what SQL says of the rows themselves.
@Suite struct TotalsTests {
  let folder: TemporaryFolder
  let ledger: Ledger

  init() throws {
    folder = try TemporaryFolder()
    ledger = try workingLedger(in: folder)
  }

  private func run(steps: Int, shards: Int, snapshots: [Int]) throws {
    try ledger.pool().write { try longRun($0, steps: steps, shards: shards) }
    for step in snapshots { try ledger.record(snapshot: SnapshotRecord(step: step, manifest: "m", bytes: 1)) }
  }

  private func number(_ sql: String) throws -> Int {
    try ledger.read("") { try Int.fetchOne($0, sql: sql) ?? 0 }
  }

  /// Only steps up to the oldest snapshot, and not the last 1,000.
  @Test(arguments: [(900, 900), (2000, 1500)]) func oldHandOutsAreRolledUp(oldest: Int, upTo: Int) throws {
    try run(steps: 2500, shards: 4, snapshots: [oldest, 2400, 2500])
    let before = try ledger.assignments(step: upTo + 1)
    #expect(try ledger.rollUpAssignments() == 4 * upTo)
    #expect(try number("SELECT min(step) FROM assignments") == upTo + 1)
    #expect(try ledger.assignments(step: upTo + 1) == before)
    func total(_ outcome: String, verified: Bool, shards: Int) -> AssignmentTotal {
      AssignmentTotal(
        term: 1, worker: 1, purpose: "train", outcome: outcome, verified: verified, firstStep: 1,
        lastStep: upTo,
        shards: shards * upTo, seconds: 0.5 * Double(shards * upTo))
    }
    #expect(
      try ledger.assignmentTotals() == [
        total("committed", verified: false, shards: 1), total("committed", verified: true, shards: 2),
        total("lost", verified: false, shards: 1),
      ])
    #expect(try ledger.firstUnverifiedStep(of: "alpha/4711") == 1)
    #expect(try ledger.rollUpAssignments() == 0)
    #expect(try ledger.findings() == [])
  }

  /// A run that is short, or has no snapshot, keeps every row.
  @Test(arguments: [(900, [800]), (2000, [])]) func youngHandOutsStay(steps: Int, snapshots: [Int]) throws {
    try run(steps: steps, shards: 2, snapshots: snapshots)
    #expect(try ledger.rollUpAssignments() == 0)
    #expect(try number("SELECT count(*) FROM assignments") == 2 * steps)
  }

  /// More than one transaction takes, in calls that each do a part.
  @Test func manyHandOutsInParts() throws {
    try run(steps: 4000, shards: 40, snapshots: [3000])
    let most = Ledger.rollUpsAtOnce * (Ledger.rolledUpAtOnce + 40)
    let first = try ledger.rollUpAssignments()
    #expect(first >= 40_000 && first <= most)
    #expect(try first + ledger.rollUpAssignments() == 120_000)
    #expect(try number("SELECT sum(shards) FROM assignment_totals") == 120_000)
    #expect(try number("SELECT count(*) FROM assignments") == 40_000)
  }

  /// A return to a snapshot leaves the totals, one to the start makes them void; a second one adds to the first's.
  @Test func returns() throws {
    try run(steps: 2500, shards: 2, snapshots: [900, 2400])
    _ = try ledger.rollUpAssignments()
    let totals = try ledger.assignmentTotals()
    let toSnapshot = try ledger.rollBack(byHandTo: 2400)
    #expect(toSnapshot.voidedResults == 100)
    #expect(try ledger.assignmentTotals() == totals)
    let toStart = try ledger.rollBack(byHandTo: 0)
    #expect(toStart.voidedResults == 2400)
    #expect(try ledger.assignmentTotals().map(\.outcome) == ["lost", "void"])
    #expect(try ledger.firstUnverifiedStep(of: "alpha/4711") == nil)
  }

  @Test func sumsFollowTheSteps() throws {
    for number in 1...9 {
      var record = step(number)
      record.metrics = ["step": .number(number), "step_time": .number(Double(number)), "snapshot_time": 0.5]
      try ledger.commit(record, tiers: [], assignments: [])
    }
    #expect(try ledger.total(ofMetric: "step_time") == 45)
    #expect(try ledger.total(ofMetric: "snapshot_time") == 4.5)
    _ = try ledger.rollBack(byHandTo: 4)
    #expect(try ledger.total(ofMetric: "step_time") == 10)
    #expect(try ledger.total(ofMetric: "loss") == 0)
  }
}
