import Foundation
import Harness
import JSON
import Testing

/// After a crash steps are computed again, from the last snapshot on. What does not come out as the ledger has it stops
/// the run: another answer must never be trained on from there.
@Suite(.serialized) struct ReplayTests {
  /// A run that was killed some steps after its last snapshot.
  private static func killedRun() throws -> TrainingRun {
    for _ in 0..<10 {
      let run = try TrainingRun(["num_steps": 4000, "eval_every": 4000])
      let first = try run.start(["--threads-per-worker", "1"])
      let due = Int.random(in: 20...60)
      guard waitUntil(seconds: 60, { run.step >= due || !first.process.isRunning }) else {
        throw HarnessError("step \(due) did not come: \(first.output)\(first.errors)")
      }
      kill(first.process.processIdentifier, SIGKILL)
      _ = try first.wait()
      if try replayedSteps(of: run) >= 1 { return run }
    }
    throw HarnessError("ten runs were killed, each right after a snapshot")
  }

  private static func replayedSteps(of run: TrainingRun) throws -> Int {
    let counts = "(SELECT max(step) FROM steps) - (SELECT coalesce(max(step), 0) FROM snapshots)"
    return Int(try sqlite(run.file("state.sqlite"), "SELECT \(counts)")) ?? 0
  }

  /// Two workers agree on every shard, each is as the record has it, and still the step comes out otherwise: then it was
  /// not one of them who computed wrongly.
  @Test func anotherDigestStopsTheRun() throws {
    let run = try Self.killedRun()
    // As if another program, or another machine's arithmetic, had computed the last step.
    let change =
      "UPDATE steps SET digest = '\(String(repeating: "0", count: 64))' WHERE step = (SELECT max(step) FROM steps)"
    _ = try Program(name: "/usr/bin/sqlite3").run([run.file("state.sqlite"), change]).expectSuccess()
    let result = try Program.coord.run(
      ["resume", run.folder, "--local-workers", "2", "--threads-per-worker", "1"])
    #expect(result.everything.contains("the replay begins again"), "\(result.everything)")
    #expect(result.status != 0)
    #expect(result.everything.contains("computed again, has the digest"), "\(result.everything)")
    #expect(result.everything.contains("do not trust this run"))
  }
}
