import Foundation
import Harness
import JSON
import Testing

/// Faults in the middle of windows that workers keep, for both kinds and with several numbers of steps between flushes.
/// Nearly every step is in the middle of a window. The reference flushes as usual: that changes no bit.
extension FaultMatrix {
  static let windows: [(kind: String, flush: Int)] = [("mean", 1000), ("sum", 3)]

  static func windowConfig(_ window: (kind: String, flush: Int)) -> [String: JSONValue] {
    [
      "inactive_gradients": .string(window.kind), "flush_every": .number(window.flush), "num_steps": 64,
      "tier_update_frequencies": [1, 5, 50],
    ]
  }

  private static func name(_ window: (kind: String, flush: Int)) -> String {
    "\(window.kind), flushed every \(window.flush) steps"
  }

  /// Row 22: workers that come late keep chains of windows of which they have not seen the beginning.
  @Test func row22WorkersJoinInMidWindow() throws {
    try Self.row(22, "workers that join in mid-window") { findings in
      for window in Self.windows {
        let cluster = try Cluster(Self.windowConfig(window))
        try cluster.worker("compute.delay=0.01")
        for step in [7, 17, 27] {
          try cluster.wait(forStep: step)
          try cluster.worker("compute.delay=0.01")
          findings.inject()
        }
        try cluster.finish()
        let firsts = try cluster.ledger(
          """
          SELECT min(step) FROM assignments JOIN workers USING (term, worker)
          WHERE purpose = 'train' AND outcome = 'committed' GROUP BY worker ORDER BY worker
          """
        ).split(separator: "\n").compactMap { Int($0) }
        findings.note("\(Self.name(window)): first results after the steps \(firsts.map { $0 - 1 })")
        findings.expect(
          firsts.dropFirst().contains { (2..<50).contains($0) }, "nobody came in mid-window: \(firsts)")
        try findings.expectSame(cluster.run, as: cluster.reference, Self.name(window))
      }
    }
  }

  /// Row 23: a worker of the last minor version beside two of this one; a minor version for tests alone, 2.1, stands for
  /// this one.
  @Test func row23OldWorkerAmongWindows() throws {
    try Self.row(23, "a worker of minor version N−1 beside those of N, windows") { findings in
      for window in Self.windows {
        let cluster = try Cluster(Self.windowConfig(window), faults: "protocol.minor=1")
        let old = try cluster.worker("compute.delay=0.01")
        let others = try (0..<2).map { _ in try cluster.worker("compute.delay=0.01,protocol.minor=1") }
        findings.inject()
        try cluster.finish()
        let counts = try ([old] + others).map { try cluster.outcomes(of: $0.id)["committed"] ?? 0 }
        findings.note(
          "\(Self.name(window)): \(counts[0]) results of the old one, \(counts[1...]) of the others")
        findings.expect(counts[0] > 0 && counts[1...].contains { $0 > 0 }, "not all have computed: \(counts)")
        let failed = try cluster.ledger(
          "SELECT count(*) FROM assignments WHERE outcome IN ('failed', 'expired', 'lost', 'corrupt')")
        findings.expect(failed == "0", "\(failed) hand-outs have failed")
        try findings.expectSame(cluster.run, as: cluster.reference, Self.name(window))
      }
    }
  }

  /// Row 15: what a slow worker has kept of a window so far, and what others compute in its stead, is one chain.
  @Test func row15BackupsInMidWindow() throws {
    try Self.row(15, "a worker 8 × slower, windows") { findings in
      for window in Self.windows {
        let cluster = try Cluster(Self.windowConfig(window))
        try cluster.worker("compute.delay=0.02")
        try cluster.worker("compute.delay=0.02,compute.slow=8")
        // The slow one may soon be left without work; the shard that this one stands still in needs a backup for sure.
        let third = try cluster.worker("compute.delay=0.02,compute.stop@6")
        findings.inject()
        guard waitUntil(seconds: 30, { isStopped(third.id) }) else {
          throw HarnessError("the worker did not stop: \(third.errors)")
        }
        usleep(8 * 4 * 20_000)
        kill(third.id, SIGCONT)
        try cluster.finish()
        // Two workers have had the same shard, and none of them has failed at it or is gone.
        let backups = try cluster.ledger(
          """
          SELECT count(*) FROM (
            SELECT 1 FROM assignments WHERE purpose = 'train' AND step % 50 <> 0
            GROUP BY term, step, first_micro_batch, last_micro_batch, tiers
            HAVING count(DISTINCT worker) > 1
              AND sum(outcome NOT IN ('committed', 'cancelled', 'duplicate', 'stale')) = 0)
          """)
        findings.note("\(Self.name(window)): \(backups) shards were computed by two")
        findings.expect((Int(backups) ?? 0) > 0, "there was no backup")
        try findings.expectSame(cluster.run, as: cluster.reference, Self.name(window))
      }
    }
  }
}
