import Foundation
import Harness
import JSON
import NestedLearning
import Testing

@testable import Coordination

/// Row 13: gradients that are finite and wrong.
extension FaultMatrix {
  /// With `verify_fraction: 1` a wrong gradient never gets into a step: it is found before, its worker is put away, and
  /// nothing has to be undone.
  @Test func row13WrongGradientFoundAtOnce() throws {
    try Self.row(13, "silently wrong gradient, verify_fraction 1") { findings in
      for window in Self.windows { try Self.findAtOnce(window, findings) }
    }
  }

  private static func findAtOnce(_ window: (kind: String, flush: Int), _ findings: Findings) throws {
    let cluster = try Cluster(
      windowConfig(window).merging([
        "verify_fraction": 1, "num_steps": 34, "tier_update_frequencies": [1, 5, 30],
      ]) { $1 })
    for _ in 0..<2 { try cluster.worker("compute.delay=0.01") }
    try cluster.wait(forStep: 5)
    let wrong = try cluster.worker("compute.delay=0.01,gradient.wrong@40")
    findings.inject()
    try cluster.finish()
    let identities = try cluster.ledger("SELECT identity FROM quarantine")
    findings.expect(
      identities.hasSuffix("/\(wrong.process.processIdentifier)"), "in quarantine: \(identities)")
    findings.expect(try cluster.ledger("SELECT count(*) FROM returns") == "0", "the run went back")
    let unverified = try cluster.ledger(
      "SELECT count(*) FROM assignments WHERE outcome = 'committed' AND verified = 0")
    findings.expect(unverified == "0", "\(unverified) results count that nobody verified")
    findings.expect(try wrong.wait(seconds: 20).errors.contains("refused"), "the worker was not told")
    try findings.expectSame(cluster.run, as: cluster.reference, window.kind)
  }

  /// Below 1 it is found with that probability for each shard, and what it got into is computed again.
  @Test func row13WrongGradientFoundLater() throws {
    try Self.row(13, "silently wrong gradient, verify_fraction 0.01") { findings in
      for window in Self.isFull ? ["mean", "sum"] : ["mean"] {
        try Self.findLater("gradient.wrong", window, findings)
      }
    }
  }

  /// A worker says the right of every gradient, and keeps wrong sums of them: these are computed again as well.
  @Test func row13WrongChainFoundLater() throws {
    try Self.row(13, "silently wrong sums over a window, verify_fraction 0.01") { findings in
      try Self.findLater("chain.wrong", "sum", findings)
    }
  }

  /// A worker comes when there is a snapshot, and all that it does is wrong. What it computes is not looked at for many
  /// steps, since the seed is chosen so, and then it is.
  private static func findLater(_ fault: String, _ window: String, _ findings: Findings) throws {
    let hidden = 65
    let seed = verifySeed(hiddenUpTo: hidden, foundBy: 90)
    let cluster = try Cluster(
      [
        "inactive_gradients": .string(window), "tier_update_frequencies": [1, 5, 100], "num_steps": 105,
        "eval_every": 50, "verify_fraction": .number(fraction),
      ], faults: "verify.seed=\(seed),backup.floor=1000")
    let usual = "compute.delay=0.02"
    try cluster.worker(usual)
    func snapshot() -> Int { (try? cluster.ledger("SELECT max(step) FROM snapshots")).flatMap(Int.init) ?? 0 }
    guard waitUntil(seconds: 60, { usleep(20_000) == 0 && snapshot() > 0 }) else {
      throw HarnessError("there is no snapshot after step \(cluster.run.step)")
    }
    let wrong = try cluster.worker(usual + "," + fault)
    findings.inject()
    guard waitUntil(seconds: 20, { (try? cluster.outcomes(of: wrong.id)["committed"]) ?? 0 > 0 }) else {
      throw HarnessError("the worker got no work up to step \(cluster.run.step)")
    }
    // Until now there was nobody to compare with.
    findings.expect(cluster.run.step < hidden, "all this has taken \(cluster.run.step) steps")
    try cluster.worker(usual)
    try cluster.finish()
    let comment = "\(fault), \(window)"
    findings.expect(
      try cluster.ledger("SELECT identity FROM quarantine").hasSuffix("/\(wrong.id)"),
      "\(comment): not the worker that is wrong is in quarantine")
    let row = try cluster.ledger("SELECT from_step, first_unverified_step, to_step FROM returns")
    let steps = row.split(separator: "|").compactMap { Int($0) }
    findings.note("\(comment): went back from, first step in doubt, to: \(row)")
    guard steps.count == 3 else {
      return findings.expect(false, "\(comment): the run went back not once: \(row)")
    }
    findings.expect(
      steps[0] >= hidden && steps[1] <= hidden && steps[2] < steps[1] && steps[2] > 0,
      "\(comment): it did not go back over committed steps to a snapshot: \(row)")
    let void = try cluster.outcomes(of: wrong.id)["void"] ?? 0
    findings.expect(void > 0, "\(comment): none of its results had counted")
    try findings.expectSame(cluster.run, as: cluster.reference, comment)
  }

  private static let fraction = 0.01

  /// The first seed by which no shard of two workers, or one, is chosen up to a step, and each one's some steps later.
  private static func verifySeed(hiddenUpTo last: Int, foundBy end: Int) -> UInt64 {
    var settings = SchedulerSettings(
      term: 1, run: "", tierParameterCounts: [1, 1, 1], modelSHA256: "", numericProfile: "")
    settings.verifyFraction = fraction
    func isChosen(_ core: ShardScheduler, _ node: TreeNode, _ step: Int) -> Bool {
      let unit = WorkUnit(purpose: .train, step: step, leafCount: 4, dueTiers: [0, 1, 2], window: true)
      return core.check(of: Shard(node: node, tiers: [0, 1, 2]), in: unit) != .none
    }
    let halves = (0..<2).map { TreeNode(level: 1, index: $0) }
    let nodes = halves + [TreeNode(level: 2, index: 0)]
    while true {
      let core = ShardScheduler(settings: settings, now: .zero)
      let isHidden = !(1...last).contains { step in nodes.contains { isChosen(core, $0, step) } }
      if isHidden, halves.allSatisfy({ node in (last + 2...end).contains { isChosen(core, node, $0) } }) {
        return settings.verifySeed
      }
      settings.verifySeed += 1
    }
  }

  /// With nobody to say who is right the run waits, says so, and goes on when somebody comes.
  @Test func row13NobodyToDecide() throws {
    try Self.row(13, "silently wrong gradient, two workers") { findings in
      let cluster = try Cluster(["verify_fraction": 1])
      try cluster.worker("compute.delay=0.01")
      try cluster.worker("compute.delay=0.01,gradient.wrong@30")
      findings.inject()
      var status = ""
      let isPaused = waitUntil(seconds: 30) {
        usleep(100_000)
        status = (try? Program.coord.run(["status", cluster.run.folder]).output) ?? ""
        return status.contains("there is no other worker to decide")
      }
      findings.expect(isPaused, "the wait is not named: \(status)")
      try cluster.worker()
      // One of the first two is left, and the third.
      try cluster.finish()
      findings.expect(try cluster.ledger("SELECT count(*) FROM quarantine") == "1", "nobody is in quarantine")
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }
}
