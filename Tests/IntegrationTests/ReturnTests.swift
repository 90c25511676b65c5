import Foundation
import Harness
import JSON
import Ledger
import Testing

/// Row 13 of the fault matrix, going back: a worker's results are not to be trusted, nobody has verified them, and they
/// are in committed steps. The reference is the same run without that worker's results ever being doubted: every step,
/// evaluation and checkpoint once, with the same bits.
@Suite struct ReturnTests {
  private func steps(_ run: TrainingRun) -> Int {
    (try? rows(run.file("metrics/train_metrics.jsonl")).count) ?? 0
  }

  /// Trains until some step is committed, then stops as a user does.
  private func work(_ run: TrainingRun, resuming: Bool, until step: Int) throws {
    let flags = ["--local-workers", "1", "--threads-per-worker", "1"]
    let environment = ["NL_FAILPOINTS": "compute.delay=0.01"]
    let coordinator =
      resuming
      ? try Program.coord.start(["resume", run.folder] + flags, environment: environment)
      : try run.start(flags, environment: environment)
    #expect(waitUntil(seconds: 60) { steps(run) >= step }, "\(coordinator.errors)")
    coordinator.interrupt()
    let result = try coordinator.wait(seconds: 30)
    #expect(result.status == 0, "\(result.everything)")
  }

  /// Puts the identity of the last worker in quarantine, as a coordinator does that finds it out.
  private func quarantineLastWorker(_ run: TrainingRun) throws -> String {
    let ledger = try Ledger.open(at: run.file("state.sqlite"))
    let worker = try #require(try ledger.workers().last)
    let term = try ledger.beginTerm()
    try ledger.record(
      assignments: [],
      notes: [
        .quarantined(
          QuarantineRecord(identity: worker.identity, term: term, worker: worker.id, reason: "a test says so")
        )
      ])
    try ledger.close()
    return worker.identity
  }

  /// - Parameter toTheStart: all results are that worker's, so that nothing is left.
  @Test(arguments: [false, true]) func row13GoesBackToBeforeTheFirstUnverifiedResult(toTheStart: Bool) throws
  {
    let changes = DiskTests.changes.merging(["checkpoint_every": 20, "keep_last_n_checkpoints": 3]) { $1 }
    let reference = try DiskTests.reference.get()
    let run = try TrainingRun(changes)
    if !toTheStart { try work(run, resuming: false, until: 30) }
    let trusted = steps(run)
    try work(run, resuming: !toTheStart, until: 80)
    let doubted = steps(run)
    let identity = try quarantineLastWorker(run)

    let result = try run.resume()
    #expect(result.errors.contains("went back from step \(doubted) to step"), "\(result.errors)")
    #expect(result.errors.contains(identity))
    try reference.expectSame(run, "\(result.errors)")
    #expect(try rows(run.file("metrics/eval_metrics.jsonl")).map { $0["step"]?.int } == [50, 100, 150])

    let ledger = try Ledger.open(at: run.file("state.sqlite"), access: .readOnly)
    let record = try #require(try ledger.returns().first)
    #expect(try ledger.returns().count == 1)
    #expect(
      record.identity == identity && record.fromStep == doubted && record.firstUnverifiedStep == trusted + 1)
    #expect(record.toStep <= trusted && record.voidedSteps == doubted - record.toStep)
    print(
      "row 13: went back from step \(doubted) to step \(record.toStep), unverified from step \(trusted + 1) on"
    )
    #expect(toTheStart == (record.toStep == 0))
    #expect(try ledger.assignments(step: doubted).contains { $0.outcome == "void" })
    let folders = try FileManager.default.contentsOfDirectory(atPath: run.file("checkpoints")).sorted()
    #expect(folders == ["best", "checkpoint_0000100", "checkpoint_0000120", "checkpoint_0000140", "final"])
  }
}
