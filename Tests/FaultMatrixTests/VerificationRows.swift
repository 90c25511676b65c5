import Foundation
import Harness
import JSON
import Testing

/// Row 13: gradients that are finite and wrong.
extension FaultMatrix {
  /// With `verify_fraction: 1` a wrong gradient never gets into a step: it is found before, its worker is put away, and
  /// nothing has to be undone.
  @Test func row13WrongGradientFoundAtOnce() throws {
    try Self.row(13, "silently wrong gradient, verify_fraction 1") { findings in
      let cluster = try Cluster(["verify_fraction": 1])
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
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }

  /// Below 1 it is found with that probability for each shard, and what it got into is computed again.
  @Test func row13WrongGradientFoundLater() throws {
    try Self.row(13, "silently wrong gradient, verify_fraction 0.1") { findings in
      let cluster = try Cluster(["verify_fraction": 0.1])
      for _ in 0..<2 { try cluster.worker("compute.delay=0.01") }
      try cluster.wait(forStep: 10)
      try cluster.worker("compute.delay=0.01,gradient.wrong")
      findings.inject()
      try cluster.finish()
      findings.expect(try cluster.ledger("SELECT count(*) FROM quarantine") == "1", "nobody is in quarantine")
      findings.note(
        "went back from, to: "
          + (try cluster.ledger("SELECT from_step, to_step FROM returns").replacingOccurrences(
            of: "\n", with: "; ")))
      try findings.expectSame(cluster.run, as: cluster.reference)
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
