import Foundation
import Harness
import JSON
import Testing

/// Results that are wrong, and who computes what.
extension FaultMatrix {
  /// Row 14: a gradient that is no number never reaches Adam; the run stops, says where, and goes on from there.
  @Test func row14NotANumber() throws {
    try Self.row(14, "NaN or infinity") { findings in
      let cluster = try Cluster(localWorkers: 0)
      try cluster.worker("compute.delay=0.005")
      let bad = try cluster.worker("gradient.nan@40")
      findings.inject()
      let result = try cluster.coordinator.wait()
      if result.status == 0 {
        findings.note("its result was refused; the run went on without it")
      } else {
        findings.note(result.errors.split(separator: "\n").last.map(String.init) ?? "")
        let isNamed =
          result.errors.contains("the gradient of model.layers.") && result.errors.contains("not finite")
        findings.expect(isNamed, "the gradient is not named: \(result.errors)")
        bad.terminate()
        try cluster.resume()
        try cluster.worker()
        try cluster.finish()
      }
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 24: a shard that nobody can compute stops the run, which names it; without the poison it goes on.
  @Test func row24PoisonShard() throws {
    try Self.row(24, "poison shard") { findings in
      let poison = "compute.poison=12"
      let cluster = try Cluster(faults: poison, localWorkers: 2)
      let result = try cluster.coordinator.wait()
      findings.inject()
      findings.expect(result.status != 0, "the run went on")
      findings.expect(
        result.errors.contains("step 12") && result.errors.contains("micro-batch"),
        "the shard is not named: \(result.errors)")
      findings.expect(cluster.run.step == 11, "the run stopped after step \(cluster.run.step), not 11")
      findings.note(result.errors.split(separator: "\n").last.map(String.init) ?? "")
      try cluster.resume()
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
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
