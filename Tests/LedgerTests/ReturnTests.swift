import Foundation
import GRDB
import Testing

@testable import Ledger

/// Row 13 of the fault matrix, the ledger's side: what came after a step is void, and can be done again.
@Suite struct ReturnTests {
  let folder: TemporaryFolder
  let ledger: Ledger

  /// Worker 2 computed steps 4 and 5, of which step 4 was verified; the evaluation after step 2 was worker 3's.
  init() throws {
    folder = try TemporaryFolder()
    ledger = try workingLedger(in: folder)
    for id in 2...3 {
      var other = worker(id, term: 1)
      other.identity = "key \(id)"
      try ledger.record(worker: other)
    }
    for number in 1...6 {
      var result = handOut(number, term: 1, step: number, worker: [4, 5].contains(number) ? 2 : 1)
      result.verified = number == 4
      try ledger.commit(step(number), tiers: [tier(0, version: number)], assignments: [result])
      if number % 2 == 0 { try evaluate(number) }
    }
  }

  private func evaluate(_ number: Int) throws {
    var result = handOut(100 + number, term: 1, step: number, worker: 3)
    result.purpose = "evaluate"
    try ledger.record(
      evaluation: EvaluationRecord(
        step: number, loss: 2, perplexity: 7, tokens: 8, isBest: false, seconds: 1,
        metrics: ["step": .number(number)]),
      assignments: [result])
    try ledger.record(
      checkpoint: CheckpointRecord(
        path: "checkpoints/\(number)", step: number, isBest: false, isFinal: false, bestValidationLoss: 2))
    try ledger.record(snapshot: SnapshotRecord(step: number, manifest: "m\(number)", bytes: 1))
  }

  @Test func firstUnverifiedStep() throws {
    #expect(try ledger.firstUnverifiedStep(of: "alpha/4711") == 1)
    #expect(try ledger.firstUnverifiedStep(of: "key 2") == 5)
    #expect(try ledger.firstUnverifiedStep(of: "key 3") == 2)
    #expect(try ledger.firstUnverifiedStep(of: "key 4") == nil)
  }

  @Test func whatCameAfterIsVoid() throws {
    let record = try ledger.rollBack(to: 4, identity: "key 2", firstUnverifiedStep: 5, at: noon)
    #expect(record.fromStep == 6 && record.toStep == 4)
    #expect((record.voidedSteps, record.voidedEvaluations, record.voidedResults) == (2, 1, 3))
    #expect(try ledger.returns() == [record])
    #expect(try ledger.lastStep() == 4)
    #expect(try ledger.evaluations().map(\.step) == [2, 4])
    #expect(try ledger.checkpoints().map(\.step) == [2, 4])
    #expect(try ledger.snapshots().map(\.step) == [4, 2])
    #expect(try ledger.stepMetrics(after: 0).map(\.step) == [1, 2, 3, 4])
    #expect(try ledger.assignments(step: 5).map(\.outcome) == ["void"])
    #expect(try ledger.assignments(step: 4).allSatisfy { $0.outcome == "committed" })
    #expect(try ledger.firstUnverifiedStep(of: "key 2") == nil)
    // The steps are committed again, by others.
    try ledger.commit(step(5), tiers: [tier(0, version: 5)], assignments: [handOut(50, term: 1, step: 5)])
    #expect(try ledger.assignments(step: 5).map(\.outcome) == ["void", "committed"])
  }

  @Test func toTheStart() throws {
    let record = try ledger.rollBack(to: 0, identity: "key 3", firstUnverifiedStep: 2, at: noon)
    #expect(record.toStep == 0 && record.voidedSteps == 6)
    #expect(try ledger.lastStep() == 0 && ledger.latestSnapshot() == nil)
    #expect(throws: LedgerError.self) { try ledger.commit(step(2), tiers: [], assignments: []) }
    try ledger.commit(step(1), tiers: [], assignments: [])
  }

  @Test func byHand() throws {
    let record = try ledger.rollBack(byHandTo: 2, at: noon)
    #expect(record.reason == .byHand && record.identity.isEmpty && record.firstUnverifiedStep == 3)
    #expect((record.fromStep, record.toStep, record.voidedSteps) == (6, 2, 4))
    #expect(try ledger.returns() == [record])
    #expect(try ledger.lastStep() == 2 && ledger.checkpoints().map(\.step) == [2])
    for step in [-1, 3] { #expect(throws: LedgerError.self) { try ledger.rollBack(byHandTo: step) } }
    #expect(try ledger.returns().count == 1)
    try ledger.commit(step(3), tiers: [], assignments: [])
  }

  /// A return that keeps what it is to undo is refused, and so is one by a coordinator that was replaced.
  @Test func refusals() throws {
    #expect(throws: LedgerError.self) {
      try ledger.rollBack(to: 5, identity: "key 2", firstUnverifiedStep: 5)
    }
    let next = try Ledger.open(at: ledger.path)
    _ = try next.beginTerm()
    #expect { try ledger.rollBack(to: 4, identity: "key 2", firstUnverifiedStep: 5) } throws: {
      if case LedgerError.fenced = $0 { true } else { false }
    }
    #expect(try ledger.lastStep() == 6 && ledger.returns().isEmpty)
  }

  @Test func quarantineStays() throws {
    let finding = QuarantineRecord(identity: "key 2", term: 1, worker: 2, reason: "two differ", at: noon)
    try ledger.record(assignments: [], notes: [.quarantined(finding)])
    var second = finding
    second.reason = "again"
    try ledger.record(assignments: [], notes: [.quarantined(second)])
    let next = try Ledger.open(at: ledger.path)
    #expect(try next.quarantined() == [finding])
  }

  /// A ledger of the first form keeps its rows, with an identity for each worker and nothing verified.
  @Test func ledgerOfTheFirstForm() throws {
    let path = folder.file("old.sqlite")
    let queue = try DatabaseQueue(path: path)
    try Schema.migrator.migrate(
      queue, upTo: "1: runs, steps, tiers, workers, assignments, evaluations, files")
    try queue.write { db in
      try db.execute(
        sql: """
          INSERT INTO runs (id, experiment_name, base_model_path, config, program, created_at, term)
            VALUES (1, 'old', '/m', '{}', 'p', '\(noon.text)', 3);
          INSERT INTO workers VALUES (3, 1, 'beta', 7, 2, 'avx2', 'f32-1', 'p', 1, '\(noon.text)', NULL, NULL);
          INSERT INTO assignments VALUES (3, 9, 'train', 1, 0, 1, '[0]', 1, '\(noon.text)', NULL, NULL, 'committed');
          """)
    }
    try queue.close()
    let ledger = try Ledger.open(at: path)
    #expect(try ledger.workers().map(\.identity) == ["beta/7"])
    #expect(try ledger.assignments(step: 1).map(\.verified) == [false])
    #expect(try ledger.firstUnverifiedStep(of: "beta/7") == 1)
  }

  /// A ledger of the third form keeps its returns, and gets its sums.
  @Test func ledgerOfTheThirdForm() throws {
    let path = folder.file("old.sqlite")
    let queue = try DatabaseQueue(path: path)
    try Schema.migrator.migrate(queue, upTo: "3: steps without a loss")
    try queue.write { db in
      try db.execute(
        sql: """
          INSERT INTO runs (id, experiment_name, base_model_path, config, program, created_at, term)
            VALUES (1, 'old', '/m', '{}', 'p', '\(noon.text)', 3);
          INSERT INTO returns VALUES (1, 2, 'k', 5, 9, 4, 5, 1, 7, '\(noon.text)');
          """)
      try longRun(db, steps: 8)
    }
    try queue.close()
    // Whoever only reads it cannot bring it up to date.
    let reader = try Ledger.open(at: path, access: .readOnly)
    #expect(try reader.total(ofMetric: "step_time") == 2)
    try reader.close()
    let ledger = try Ledger.open(at: path)
    #expect(try ledger.total(ofMetric: "step_time") == 2)
    #expect(
      try ledger.returns() == [
        ReturnRecord(
          term: 2, reason: .unverified, identity: "k", firstUnverifiedStep: 5, fromStep: 9, toStep: 4,
          voidedSteps: 5,
          voidedEvaluations: 1, voidedResults: 7, at: noon)
      ])
    #expect(try ledger.shardDigests(step: 8) == [])
  }
}
