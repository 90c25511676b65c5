import Foundation
import Harness
import Testing

/// Networks that part, cut, lose, and dawdle.
extension FaultMatrix {
  /// Shorter silence than usual, so that a partition is noticed while a test waits.
  private static let silence = "silence=2,lease.floor=1,lease.initial=5"

  /// Row 9: hosts are cut off both ways, one way, by resets, by the loss of a link or of packets, one after the other.
  @Test(.enabled(if: Hosts.areThere, "network namespaces need root, ip, nft and tc: network.sh check"))
  func row09Partition() throws {
    try Self.row(9, "partition: both ways, one way, host by host") { findings in
      var random = SplitMix64(seed: Self.seed())
      let hosts = try Hosts(count: 4)
      let cluster = try Cluster(
        // More steps than three workers of 30 ms a micro-batch make while hosts are cut off and healed.
        ["num_steps": Self.isFull ? 2000 : 700], flags: ["--insecure"], faults: Self.silence,
        listen: "\(Hosts.address(1)):5555", prefix: hosts.prefix(1))
      for host in 2...4 {
        try cluster.worker(
          "silence=2,compute.delay=0.03", flags: ["--insecure"], prefix: hosts.prefix(host))
      }
      try cluster.wait(forStep: 5)
      var faults: [(name: String, arguments: [String])] = [
        ("partition", [Hosts.address(1)]), ("oneway", []), ("oneway back", []), ("reset", []),
        ("linkdown", []),
        ("loss", []),
      ]
      if !Self.isFull { faults = Array(faults.prefix(4)) }
      for fault in faults {
        let host = Int.random(in: 2...4, using: &random)
        switch fault.name {
        case "partition", "oneway", "reset": try hosts.set(fault.name, host, "1")
        case "oneway back": try hosts.set("oneway", 1, "\(host)")
        case "loss": try hosts.set("loss", host, "30")
        default: try hosts.set(fault.name, host)
        }
        findings.inject()
        sleep(3)
        try Self.heal(hosts, host, fault.name, cluster, findings)
      }
      // One host after the other, until nobody is left.
      for host in (2...4).shuffled(using: &random) {
        try hosts.set("partition", host, "1")
        findings.inject()
        usleep(700_000)
      }
      sleep(2)
      for host in (2...4).shuffled(using: &random) { try hosts.set("heal", host) }
      let step = cluster.run.step
      let healed = Date()
      try cluster.wait(forStep: step + 1)
      findings.recovered("all healed: a step", seconds: Date().timeIntervalSince(healed), limit: 30)
      try cluster.finish(seconds: 240)
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Heals a host, and waits until its worker has brought something again.
  private static func heal(
    _ hosts: Hosts, _ host: Int, _ fault: String, _ cluster: Cluster, _ findings: Findings
  ) throws {
    try hosts.set("heal", host)
    try hosts.set("heal", 1)
    let healed = Date()
    let begun = cluster.run.step
    // All hosts work again once three workers have committed something of the steps since.
    let isWhole = waitUntil(seconds: 40) {
      let workers = try? cluster.ledger(
        """
        SELECT count(DISTINCT pid) FROM assignments JOIN workers USING (term, worker)
        WHERE outcome = 'committed' AND step > \(begun + 1)
        """)
      usleep(100_000)
      return workers == "3" || !cluster.coordinator.process.isRunning
    }
    guard isWhole, cluster.coordinator.process.isRunning else {
      throw HarnessError("\(fault) of host \(host) did not heal by step \(cluster.run.step)")
    }
    findings.recovered("\(fault) healed: all at work", seconds: Date().timeIntervalSince(healed), limit: 30)
  }

  /// Row 16: workers that read slowly; what waits for them is bounded by the window of 4 MiB for each (PROTOCOL.md).
  @Test func row16SlowReaders() throws {
    let count = Self.isFull ? 64 : 12
    try Self.row(16, "slow reader, \(count) workers") { findings in
      // Tiers of 0.25 to 0.5 MB, sent at each step to each worker.
      let cluster = try Cluster(["num_steps": 40, "lora_rank": 128, "max_seq_length": 16])
      try cluster.worker("compute.delay=0.2")
      try cluster.wait(forStep: 2)
      let before = try residentBytes(cluster.coordinator.id)
      let (_, address) = try cluster.proxy(["--slow-reader", Self.isFull ? "100000" : "300000"])
      for _ in 0..<count {
        try cluster.worker(at: address)
        findings.inject()
      }
      var most = before
      let coordinator = cluster.coordinator
      _ = waitUntil(seconds: 240) {
        usleep(20_000)
        most = max(most, (try? residentBytes(coordinator.id)) ?? 0)
        return !coordinator.process.isRunning
      }
      let budget = count * (4 << 20) + (32 << 20)
      let joined = try cluster.ledger("SELECT count(*) FROM workers")
      findings.expect(Int(joined) == count + 1, "only \(joined) workers have joined")
      findings.note("memory grew by \((most - before) >> 20) MiB, the budget is \(budget >> 20) MiB")
      findings.expect(most - before <= budget, "the coordinator grew by \((most - before) >> 20) MiB")
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Row 10: connections are reset at bytes all over the messages, and bytes are changed; nothing partial is used.
  @Test func row10ConnectionCut() throws {
    try Self.row(10, "connection reset or cut at each chunk") { findings in
      var random = SplitMix64(seed: Self.seed())
      // Results of 1 to 4 MB, in chunks of 256 KiB.
      let cluster = try Cluster(
        ["num_steps": Self.isFull ? 160 : 40, "lora_rank": 128, "max_seq_length": 16], faults: Self.silence)
      /// Of each connection, a byte that comes sooner or later.
      func bytes() -> String {
        (0..<(Self.isFull ? 60 : 12)).map { _ in "\(Int.random(in: 0...30_000_000, using: &random))" }
          .joined(separator: ",")
      }
      let (proxy, address) = try cluster.proxy([
        "--cut-up", bytes(), "--cut-down", bytes(), "--corrupt-up", bytes(), "--corrupt-down", bytes(),
      ])
      for _ in 0..<2 { try cluster.worker("silence=2", at: address) }
      try cluster.finish(seconds: 300)
      proxy.process.terminate()
      let counts = try proxy.wait(seconds: 10).output.split(separator: "\n").last.map(String.init) ?? ""
      findings.note(counts)
      for (name, value) in try JSONCounts(counts).numbers
      where name.hasPrefix("cut") || name.hasPrefix("corrupted") {
        findings.inject(value)
      }
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }
}
