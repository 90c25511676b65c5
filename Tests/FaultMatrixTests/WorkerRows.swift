import Foundation
import Harness
import Testing

/// Workers that die, stop, hang, dawdle, leave, or do not fit.
extension FaultMatrix {
  /// Lease of a shard in seconds, in the rows that do not want to wait for the usual 5 s. Backups are put off, since
  /// they would have brought the result before the lease is over.
  static let lease = 1.0
  static let shortLease = "lease.floor=1,lease.initial=5,backup.floor=1000"

  /// Row 1: killed before it accepts, while it computes, while it uploads, after the upload before the answer.
  @Test func row01WorkerKilled() throws {
    try Self.row(1, "worker SIGKILL") { findings in
      // Results as they are, and as transfers.
      let places = [
        ("exit.accept", ""), ("exit.compute", ""), ("exit.upload", ""), ("exit.uploaded", ""),
        ("exit.upload", ",transfer.inline=0"), ("exit.uploaded", ",transfer.inline=0"),
      ]
      for (place, transfers) in places {
        for count in Self.isFull ? [2, 3, 5, 8, 13, 21] : [5] {
          let cluster = try Cluster(faults: Self.shortLease + ",silence=2")
          try cluster.worker("compute.delay=0.005")
          let victim = try cluster.worker("\(place)@\(count)\(transfers)")
          _ = try victim.wait(seconds: 60)
          findings.expect(
            victim.process.terminationReason == .uncaughtSignal, "\(place): the worker was not killed")
          findings.inject()
          try cluster.worker()
          try cluster.finish()
          if place == "exit.uploaded", !transfers.isEmpty {
            let ended = try cluster.outcomes(of: victim.id).filter { !["lost", "expired"].contains($0.key) }
            findings.expect(
              ended.values.reduce(0, +) == count, "\(place)@\(count)\(transfers): not all is out: \(ended)")
          }
          for seconds in try cluster.secondsUntilHandedOutAgain(from: victim.id) {
            findings.recovered("\(place): handed out again", seconds: seconds, limit: Self.lease + 1)
          }
          try findings.expectSame(cluster.run, as: cluster.reference, "\(place)@\(count)\(transfers)")
        }
      }
      try Self.killLocalWorkers(findings)
    }
  }

  /// The death of a process of the coordinator's own is seen at once.
  private static func killLocalWorkers(_ findings: Findings) throws {
    let cluster = try Cluster(faults: "compute.delay=0.02", localWorkers: 3)
    for step in [5, 15, 25] {
      try cluster.wait(forStep: step)
      guard let victim = children(of: cluster.coordinator.id).first else { break }
      kill(victim, SIGKILL)
      findings.inject()
      let killed = Date()
      try cluster.wait(forStep: cluster.run.step + 1)
      let seconds = Date().timeIntervalSince(killed)
      findings.recovered("local worker killed: the next step", seconds: seconds, limit: 1)
    }
    try cluster.finish()
    try findings.expectSame(cluster.run, as: cluster.reference, "local workers killed")
  }

  /// Row 2: stopped for once and three times its lease, then continued; its late result changes nothing.
  @Test func row02WorkerStopped() throws {
    try Self.row(2, "worker SIGSTOP for 1× and 3× the lease") { findings in
      for leases in [1.0, 3.0] {
        let cluster = try Cluster(["num_steps": 150], faults: Self.shortLease)
        try cluster.worker("compute.delay=0.01")
        let victim = try cluster.worker("compute.stop@5")
        guard waitUntil(seconds: 30, { isStopped(victim.id) }) else {
          throw HarnessError("the worker did not stop: \(victim.errors)")
        }
        findings.inject()
        usleep(UInt32(leases * Self.lease * 1.1e6))
        kill(victim.id, SIGCONT)
        try cluster.finish()
        for seconds in try cluster.secondsUntilHandedOutAgain(from: victim.id) {
          findings.recovered("handed out again", seconds: seconds, limit: Self.lease + 1)
        }
        let late = try cluster.outcomes(of: victim.id).filter { $0.key != "committed" }
        findings.expect(!late.isEmpty, "\(leases)×: no hand-out of the stopped worker counts as late")
        findings.note("\(leases)×: its hand-outs ended as \(late.sorted { $0.key < $1.key })")
        try findings.expectSame(cluster.run, as: cluster.reference, "\(leases)×")
      }
    }
  }

  /// Row 3: the arithmetic hangs while the connection lives; found by the lack of progress, and the shard handed out
  /// again. Backups are put off, since they would have brought the result long before.
  @Test func row03ComputeHangs() throws {
    try Self.row(3, "compute hangs while the socket's thread lives") { findings in
      let cluster = try Cluster(["num_steps": 150], faults: "backup.floor=1000,lease.floor=1000")
      try cluster.worker("compute.delay=0.01")
      let victim = try cluster.worker("compute.hang@9")
      try cluster.finish()
      findings.inject()
      // The stall limit is 5 s, or 20 × the usual time of a layer.
      let times = try cluster.secondsUntilHandedOutAgain(from: victim.id)
      findings.expect(!times.isEmpty, "its shard was never handed out again")
      for seconds in times { findings.recovered("handed out again", seconds: seconds, limit: 6) }
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 4: nobody is left to compute; the run says so, and goes on when one comes back.
  @Test func row04AllWorkersLost() throws {
    try Self.row(4, "all workers lost, one returns") { findings in
      let cluster = try Cluster(["num_steps": 200])
      let workers = try (0..<3).map { _ in try cluster.worker("compute.delay=0.01") }
      try cluster.wait(forStep: 10)
      for worker in workers {
        worker.terminate()
        findings.inject()
      }
      let lost = Date()
      var status = ""
      let isPaused = waitUntil(seconds: 20) {
        usleep(100_000)
        status = (try? Program.coord.run(["status", cluster.run.folder]).output) ?? ""
        return status.contains(": paused: there is no worker")
      }
      findings.expect(isPaused, "the wait is not named: \(status)")
      findings.recovered("status says paused: no worker", seconds: Date().timeIntervalSince(lost), limit: 10)
      let step = cluster.run.step
      findings.expect(step < 200, "the run ended before the workers were lost")
      let back = Date()
      try cluster.worker()
      try cluster.wait(forStep: step + 1)
      findings.recovered("a worker back: the next step", seconds: Date().timeIntervalSince(back), limit: 10)
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 15: eight times as slow as the others. What it has not brought in twice the usual time, another computes too.
  @Test func row15SlowWorker() throws {
    try Self.row(15, "a worker 8 × slower") { findings in
      // What else the machine does is in these times too, so one of three tries has to keep to the limit.
      var isKept = false
      for _ in 0..<3 where !isKept { isKept = try Self.trySlowWorker(findings) }
      findings.expect(isKept, "steps take more than 2.5 × the median")
    }
  }

  /// - Returns: whether nine of ten steps take at most 2.5 times the median of those without a slow worker.
  private static func trySlowWorker(_ findings: Findings) throws -> Bool {
    let last = isFull ? 150 : 60
    let cluster = try Cluster(["num_steps": .number(last)])
    let usual = "compute.delay=0.05"
    for _ in 0..<3 { try cluster.worker(usual) }
    let fourth = try cluster.worker(usual)
    try cluster.wait(forStep: 25)
    fourth.process.terminate()
    try fourth.wait(seconds: 40).expectSuccess()
    let first = cluster.run.step + 3
    try cluster.worker(usual + ",compute.slow=8")
    findings.inject()
    try cluster.finish()
    try findings.expectSame(cluster.run, as: cluster.reference)
    func seconds(_ steps: ClosedRange<Int>) throws -> [Double] {
      try cluster.ledger(
        "SELECT seconds FROM steps WHERE step BETWEEN \(steps.lowerBound) AND \(steps.upperBound)"
      ).split(separator: "\n").compactMap { Double($0) }.sorted()
    }
    let (without, with) = try (seconds(10...24), seconds(first...last))
    let median = without[without.count / 2]
    findings.note(
      String(
        format: "steps: median %.3f s without; with it: median %.1f ×, nine of ten %.1f ×, slowest %.1f ×",
        median,
        with[with.count / 2] / median, with[with.count * 9 / 10] / median, (with.last ?? 0) / median))
    return with[with.count * 9 / 10] <= 2.5 * median
  }

  /// Row 23: workers of the last minor version are replaced by those of this one while the run goes on; a minor version
  /// for tests alone, 2.1, stands for this one.
  @Test func row23RollingUpgrade() throws {
    try Self.row(23, "rolling upgrade, minor version N−1 → N") { findings in
      let cluster = try Cluster(["num_steps": 150], faults: "protocol.minor=1")
      var old = try (0..<3).map { _ in try cluster.worker("compute.delay=0.005") }
      for step in [10, 30, 50] {
        try cluster.wait(forStep: step)
        let leaving = old.removeFirst()
        leaving.process.terminate()
        findings.inject()
        let result = try leaving.wait(seconds: 40)
        findings.expect(result.status == 0, "an old worker did not leave: \(result.everything)")
        try cluster.worker("compute.delay=0.005,protocol.minor=1")
      }
      try cluster.finish()
      let failed = try cluster.ledger(
        "SELECT count(*) FROM assignments WHERE outcome IN ('failed', 'expired', 'lost', 'corrupt')")
      findings.expect(failed == "0", "\(failed) hand-outs have failed")
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 20: another numeric profile would give other bits.
  @Test func row20OtherNumericProfile() throws {
    try Self.row(20, "another numeric profile joins") { findings in
      let cluster = try Cluster()
      let stranger = try cluster.worker("numeric-profile=bf16/7")
      findings.inject()
      let result = try stranger.wait(seconds: 30)
      findings.expect(result.status != 0, "it was let in")
      findings.expect(result.errors.contains("\"bf16/7\""), "it is not named: \(result.errors)")
      try cluster.worker()
      let run = try cluster.finish()
      findings.expect(run.errors.contains("\"bf16/7\""), "the coordinator does not name it: \(run.errors)")
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 21: SIGTERM ends a worker, a local worker and a coordinator with exit code 0, and nothing is lost.
  @Test func row21Terminated() throws {
    try Self.row(21, "SIGTERM, each role") { findings in
      let cluster = try Cluster(["num_steps": 200], localWorkers: 1)
      let worker = try cluster.worker("compute.delay=0.005")
      try cluster.wait(forStep: 10)
      func end(_ program: Running, _ name: String, within seconds: Double) throws {
        let asked = Date()
        program.process.terminate()
        findings.inject()
        let result = try program.wait(seconds: seconds + 10)
        findings.expect(result.status == 0, "\(name): exit code \(result.status): \(result.everything)")
        findings.recovered("\(name) left", seconds: Date().timeIntervalSince(asked), limit: seconds)
      }
      try end(worker, "the worker", within: 30)
      if let local = children(of: cluster.coordinator.id).first {
        kill(local, SIGTERM)
        findings.inject()
        try cluster.wait(forStep: cluster.run.step + 2)
      }
      try end(cluster.coordinator, "the coordinator", within: 30)
      findings.expect(cluster.run.step < 200, "the run ended before it could be stopped")
      try cluster.resume()
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }
}
