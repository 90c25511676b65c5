import Foundation
import Harness
import JSON
import Testing

/// Results that are wrong, and who computes what.
extension FaultMatrix {
  /// Row 14: a gradient that is no number never reaches Adam, and is its worker's failure alone: others go on.
  @Test func row14NotANumber() throws {
    try Self.row(14, "NaN or infinity") { findings in
      let cluster = try Cluster(localWorkers: 0)
      try cluster.worker("compute.delay=0.005")
      try cluster.worker("gradient.nan@40")
      findings.inject()
      try cluster.finish()
      findings.note("its result was refused; the run went on without it")
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 24: a shard that nobody can compute pauses the run, which names it, and fails it in the end; without the poison
  /// it goes on. A machine that alone fails at it does neither.
  @Test func row24PoisonShard() throws {
    try Self.row(24, "poison shard") { findings in
      let cluster = try Cluster(faults: "compute.poison=12,no-workers=3", localWorkers: 2)
      let result = try cluster.coordinator.wait()
      findings.inject()
      findings.expect(result.status != 0, "the run went on")
      findings.expect(
        result.errors.contains("step 12") && result.errors.contains("micro-batch")
          && result.errors.contains("nobody else came to compute it within 3 s"),
        "the shard is not named: \(result.errors)")
      findings.expect(cluster.run.step == 11, "the run stopped after step \(cluster.run.step), not 11")
      findings.note(result.errors.split(separator: "\n").last.map(String.init) ?? "")
      // Who failed is in the ledger.
      let failed = try sqlite(
        cluster.run.file("state.sqlite"),
        "SELECT count(DISTINCT worker) FROM assignments WHERE step = 12 AND outcome = 'failed'")
      findings.expect(failed == "2", "\(failed) workers' failures are recorded, not 2")
      try cluster.resume()
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
      // Nor does it where it is the only one that could compare what the other has computed.
      let other = try Cluster(["verify_fraction": 0.9], faults: "no-workers=3", localWorkers: 0)
      try other.worker("compute.delay=0.02")
      try other.worker("compute.poison=12")
      findings.inject()
      try other.finish()
      try findings.expectSame(other.run, as: other.reference, "one failing machine")
    }
  }

  /// Row 22: one hash, whatever number of workers, size of shards and order of arrival.
  @Test func row22AnyNumberOfWorkers() throws {
    try Self.row(22, "1, 2, 3, 5, 8 workers × shard sizes × arrival orders") { findings in
      let windows: [JSONValue] = Self.isFull ? ["sum", "mean", "discard"] : ["sum"]
      let counts = Self.isFull ? [1, 2, 3, 5, 8] : [2, 3, 8]
      for window in windows {
        // Shards are aligned ranges of micro-batches: 7 of them, for 8 workers or fewer, make ranges of all sizes.
        let changes = Cluster.config.merging([
          "inactive_gradients": window, "gradient_accumulation_steps": 7, "num_steps": 22, "eval_every": 11,
        ]) { $1 }
        let reference = try Reference.of(changes)
        for count in counts {
          for (axis, jitter) in [("micro-batch", "0"), ("micro-batch", "0.01"), ("tier", "0.01")] {
            let run = try TrainingRun(changes)
            try run.train(
              ["--local-workers", "\(count)", "--threads-per-worker", "1", "--shard-by", axis],
              environment: Cluster.environment("compute.jitter=\(jitter)"))
            findings.inject()
            try findings.expectSame(
              run, as: reference, "\(count) workers, by \(axis), \(jitter) s, \(window.text)")
          }
        }
      }
    }
  }
}
