import Foundation
import Harness
import JSON
import Testing

/// Coordinators that die, and one too many.
extension FaultMatrix {
  /// What row 5 trains: short, since it is begun again for every place; a checkpoint is due every third step.
  private static let short: [String: JSONValue] = [
    "inactive_gradients": "sum", "num_steps": 8, "eval_every": 4, "checkpoint_every": 3,
    "tier_update_frequencies": [1, 2, 3], "gradient_accumulation_steps": 2,
  ]

  /// Row 5: killed before the n-th time that it makes something durable, and before the n-th message, for every n.
  @Test func row05CoordinatorKilledAtEveryPersistAndSend() throws {
    try Self.row(5, "coordinator SIGKILL at every persist and send") { findings in
      let reference = try Reference.of(Self.short)
      for (place, stride) in [("exit.persist", Self.isFull ? 1 : 4), ("exit.send", Self.isFull ? 1 : 9)] {
        var count = 1
        // The run has ended by itself once there is no n-th time any more.
        while try Self.killAndResume("\(place)@\(count)", reference, findings) { count += stride }
        findings.note("\(place): every \(stride == 1 ? "" : "\(stride)th ")n up to \(count - 1)")
      }
    }
  }

  /// False if the run was complete before the place was reached.
  private static func killAndResume(
    _ fault: String, _ reference: Reference, _ findings: Findings
  ) throws -> Bool {
    let run = try TrainingRun(short)
    let flags = ["--local-workers", "1", "--threads-per-worker", "1"]
    let first = try run.start(flags, environment: Cluster.environment(fault))
    let result = try first.wait()
    guard first.process.terminationReason == .uncaughtSignal else {
      try result.expectSuccess()
      return false
    }
    findings.inject()
    // Before the run folder is there, nothing has begun.
    if FileManager.default.fileExists(atPath: run.folder) {
      try run.resume(flags)
    } else {
      try run.train(flags)
    }
    try findings.expectSame(run, as: reference, fault)
    return true
  }

  /// Row 5, on the quickstart model: the first new step after a SIGKILL, and how many steps were computed again.
  @Test func row05TimeToRecover() throws {
    try Self.row(5, "coordinator SIGKILL, quickstart model: time to recover") { findings in
      let example = Fixtures.tests.deletingLastPathComponent().appendingPathComponent("examples/quickstart")
        .path
      let run = try TrainingRun([
        "base_model_path": .string(example + "/base"),
        "train_data_path": .string(example + "/genesis.jsonl"),
        "val_data_path": .null, "lora_rank": 8, "batch_size": 4, "gradient_accumulation_steps": 4,
        "max_seq_length": 96, "num_steps": 40, "eval_every": 40, "checkpoint_every": 10,
        "tier_update_frequencies": [1, 2, 4],
      ])
      let flags = ["--local-workers", "2", "--threads-per-worker", "1"]
      let first = try run.start(flags)
      guard waitUntil(seconds: 120, { run.step >= 18 || !first.process.isRunning }) else {
        throw HarnessError("step 18 did not come: \(first.output)\(first.errors)")
      }
      first.terminate()
      findings.inject()
      _ = try first.wait()
      let last = run.step
      let killed = Date()
      let second = try Program.coord.start(["resume", run.folder] + flags)
      let isBack = waitUntil(seconds: 60) { run.step > last || !second.process.isRunning }
      findings.expect(isBack && run.step > last, "no new step: \(second.output)\(second.errors)")
      findings.recovered("the first new step", seconds: Date().timeIntervalSince(killed), limit: 10)
      second.terminate()
      _ = try second.wait()
      let again = try sqlite(
        run.file("state.sqlite"),
        "SELECT count(DISTINCT step) FROM assignments WHERE term = 2 AND purpose = 'train' AND step <= \(last)"
      )
      findings.note("\(again) of \(last) steps computed again")
    }
  }

  /// Row 18: a second coordinator is refused while the first works; one of an older term is not listened to.
  @Test func row18TwoCoordinators() throws {
    try Self.row(18, "two coordinators, one database") { findings in
      let cluster = try Cluster(["num_steps": 200])
      let worker = try cluster.worker("compute.delay=0.01")
      try cluster.wait(forStep: 5)
      let second = try Program.coord.run(["resume", cluster.run.folder])
      findings.inject()
      findings.expect(second.status != 0, "the second coordinator was let in")
      findings.expect(
        second.errors.contains("another coordinator works on this run"),
        "it is not told why: \(second.errors)")
      // A copy of the run as it was in term 1, to be resumed in term 2 once the run itself is in term 3.
      let copy = cluster.run.scratch.path("copy")
      cluster.coordinator.terminate()
      _ = try cluster.coordinator.wait()
      try FileManager.default.copyItem(atPath: cluster.run.folder, toPath: copy)
      for _ in 0..<2 {
        try cluster.resume()
        try cluster.wait(forStep: cluster.run.step + 3)
        cluster.coordinator.terminate()
        _ = try cluster.coordinator.wait()
      }
      let old = try Program.coord.start(["resume", copy, "--listen", cluster.address])
      findings.inject()
      let isFenced = waitUntil(seconds: 30) {
        worker.errors.contains("a coordinator of term 2 was not listened to") || !worker.process.isRunning
      }
      findings.expect(isFenced && worker.process.isRunning, "the old term is listened to: \(worker.errors)")
      old.terminate()
      _ = try old.wait()
      try cluster.resume()
      try cluster.finish()
      try findings.expectSame(cluster.run, as: cluster.reference)
    }
  }
}
