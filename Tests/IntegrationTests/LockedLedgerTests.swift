import Foundation
import Harness
import JSON
import Testing

/// Fault 8 of issue 12: another program holds the ledger for longer than the coordinator's connection waits.
@Suite(.serialized) struct LockedLedgerTests {
  private static let sqlite = Program(name: "/usr/bin/sqlite3")

  /// The reference is the same run without that program.
  @Test func theRunWaitsAndGoesOn() throws {
    let reference = try DiskTests.reference.get()
    let run = try TrainingRun(DiskTests.changes)
    let coordinator = try run.start(
      environment: ["NL_FAILPOINTS": "compute.delay=0.01,ledger.busy=0.2"])
    #expect(waitUntil(seconds: 60) { run.step >= 10 }, "\(coordinator.errors)")
    let release = run.scratch.path("release")
    let holder = try Self.sqlite.start(
      [run.file("state.sqlite")],
      input: """
        .timeout 20000
        BEGIN EXCLUSIVE;
        .shell while [ ! -e '\(release)' ]; do sleep 0.05; done
        ROLLBACK;

        """)
    #expect(
      waitUntil(seconds: 30) { coordinator.errors.contains("the ledger is locked by another program") },
      "\(coordinator.errors)\(holder.errors)")
    let stood = run.step
    let status = try JSONValue(parsing: Program.coord.run(["status", run.folder, "--json"]).output)
    #expect(status["state"] == "paused", "\(status.text)")
    let reason = status["reason"]?.string ?? ""
    #expect(reason.hasPrefix("ledger: "), "\(reason)")
    for word in ["locked by another program", run.file("state.sqlite"), "backup", "fuser"] {
      #expect(reason.contains(word), "\(reason)")
    }
    #expect((status["ends_in"]?.double ?? 0) > 300)
    #expect(coordinator.process.isRunning && run.step == stood)
    try Data().write(to: URL(fileURLWithPath: release))
    #expect(waitUntil(seconds: 30) { run.step > stood }, "\(coordinator.errors)")
    #expect(try holder.wait(seconds: 30).status == 0)
    #expect(try coordinator.wait().status == 0, "\(coordinator.errors)")
    try reference.expectSame(run, "locked after step \(stood)")
  }

  /// Whoever begins while it is held is told why it cannot, and nothing is lost.
  @Test func aResumeIsToldWhy() throws {
    let run = try TrainingRun()
    try run.train()
    let release = run.scratch.path("release")
    let holder = try Self.sqlite.start(
      [run.file("state.sqlite")],
      input: """
        BEGIN EXCLUSIVE;
        .shell touch '\(release).held'; while [ ! -e '\(release)' ]; do sleep 0.05; done
        ROLLBACK;

        """)
    #expect(waitUntil(seconds: 30) { FileManager.default.fileExists(atPath: release + ".held") })
    let result = try Program.coord.run(
      ["resume", run.folder], environment: ["NL_FAILPOINTS": "ledger.busy=0.2"])
    #expect(result.status != 0)
    #expect(result.errors.contains("the ledger is locked by another program"), "\(result.errors)")
    try Data().write(to: URL(fileURLWithPath: release))
    #expect(try holder.wait(seconds: 30).status == 0)
    try run.resume()
  }
}
