import Foundation
import Harness
import JSON
import Testing

/// A wrong gradient that nobody verified is in committed steps, and the coordinator is killed: what is computed again
/// comes out otherwise. The reference is the same run with honest workers alone.
@Suite(.serialized) struct LieTests {
  /// A run whose only worker has computed wrongly all along, killed some steps after its last snapshot.
  private func killedRun(_ changes: [String: JSONValue]) throws -> TrainingRun {
    for _ in 0..<10 {
      let run = try TrainingRun(changes)
      let first = try run.start(
        ["--threads-per-worker", "1"], environment: ["NL_FAILPOINTS": "gradient.wrong,compute.delay=0.01"])
      let due = Int.random(in: 15...30)
      guard waitUntil(seconds: 60, { run.step >= due || !first.process.isRunning }) else {
        throw HarnessError("step \(due) did not come: \(first.output)\(first.errors)")
      }
      kill(first.process.processIdentifier, SIGKILL)
      _ = try first.wait()
      let last = "(SELECT max(step) FROM steps) - (SELECT coalesce(max(step), 0) FROM snapshots)"
      if let replayed = Int(try sqlite(run.file("state.sqlite"), "SELECT \(last)")), replayed >= 1 {
        return run
      }
    }
    throw HarnessError("ten runs were killed, each right after a snapshot")
  }

  /// Two others agree against each recorded result: its worker is quarantined, what it did is undone, and the run comes
  /// to what it would have come to without it. Before, every resume ended with "do not trust this run", for good.
  @Test(arguments: ["discard", "mean"]) func aRunGoesOnWithoutTheLiar(window: String) throws {
    let changes: [String: JSONValue] = [
      "num_steps": 60, "eval_every": 30, "verify_fraction": 0, "inactive_gradients": .string(window),
      "tier_update_frequencies": [1, 2, 4],
    ]
    let reference = try TrainingRun(changes)
    try reference.train(["--threads-per-worker", "1"])
    let run = try killedRun(changes)
    let liar = try sqlite(run.file("state.sqlite"), "SELECT identity FROM workers")
    let result = try run.resume(["--local-workers", "3", "--threads-per-worker", "1"])
    #expect(result.errors.contains("the replay begins again"), "\(result.errors)")
    #expect(result.errors.contains("(\(liar)) is in quarantine: its result for"), "\(result.errors)")
    #expect(result.errors.contains("went back from step"), "\(result.errors)")
    #expect(try run.adapterHash() == reference.adapterHash())
    #expect(try run.stateDigest() == reference.stateDigest())
  }
}
