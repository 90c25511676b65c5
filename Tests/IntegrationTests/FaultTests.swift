import Foundation
import Harness
import JSON
import Testing

/// Promise 2: kill anything at any moment. The reference of each test is the same run without faults: the same
/// SHA-256 of the adapter and of the state, and every step in the metrics once.
@Suite(.serialized) struct FaultTests {
  static let changes: [String: JSONValue] = [
    "inactive_gradients": "sum", "num_steps": 400, "eval_every": 100, "checkpoint_every": 40,
    "tier_update_frequencies": [1, 3, 7], "gradient_accumulation_steps": 4,
  ]

  /// What a run without faults comes to.
  struct Reference: Sendable {
    let adapter: String
    let state: String
    let evaluations: [JSONValue]

    init() throws {
      let run = try TrainingRun(FaultTests.changes)
      try run.train()
      adapter = try run.adapterHash()
      state = try run.stateDigest()
      evaluations = try rows(run.file("metrics/eval_metrics.jsonl"))
    }

    func expectSame(_ run: TrainingRun, _ comment: Comment, line: Int = #line) throws {
      let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: line, column: 1)
      #expect(try run.adapterHash() == adapter, comment, sourceLocation: place)
      #expect(try run.stateDigest() == state, comment, sourceLocation: place)
      #expect(try run.metrics().map { $0["step"]?.int } == Array(1...400), comment, sourceLocation: place)
      #expect(try rows(run.file("metrics/eval_metrics.jsonl")) == evaluations, comment, sourceLocation: place)
    }
  }

  /// Computed once for all tests.
  static let reference = Result { try Reference() }

  func steps(_ run: TrainingRun) -> Int { (try? rows(run.file("metrics/train_metrics.jsonl")).count) ?? 0 }

  /// Workers and the coordinator are killed, stopped and interrupted at random; the coordinator is resumed until the
  /// run is complete. The seed is random and printed: `NL_FAULT_SEED` repeats its choices.
  @Test func killsAtRandom() throws {
    let seed =
      ProcessInfo.processInfo.environment["NL_FAULT_SEED"].flatMap(UInt64.init)
      ?? UInt64.random(in: 0...UInt64.max)
    print("NL_FAULT_SEED=\(seed)")
    var random = SplitMix64(seed: seed)
    let reference = try Self.reference.get()
    let run = try TrainingRun(Self.changes)
    let flags = ["--local-workers", "3", "--threads-per-worker", "1"]
    var coordinator = try run.start(flags)
    var counts: [String: Int] = [:]
    var isDone = false
    /// Starts the coordinator again if it has ended before the run was done.
    func goOn() throws {
      let result = try coordinator.wait()
      isDone = result.output.contains("Done")
      // Before a run has begun, and during one step the second time, an interrupt ends the coordinator at once; so do
      // five early deaths of one worker.
      let killed = coordinator.process.terminationReason == .uncaughtSignal
      let named = ["stopped at once", "of its start (signal 9)"].contains { result.errors.contains($0) }
      #expect(result.status == 0 || killed || named, "seed \(seed), \(result.status): \(result.everything)")
      guard !isDone else { return }
      let resumed = FileManager.default.fileExists(atPath: run.file("state.sqlite"))
      coordinator = try resumed ? Program.coord.start(["resume", run.folder] + flags) : run.start(flags)
    }
    // So many that a run is hit again and again; however slow the machine is, the rest of it is then left alone.
    for _ in 0..<40 where !isDone {
      let wait = Double.random(in: 0.1...0.6, using: &random)
      if waitUntil(seconds: wait, { !coordinator.process.isRunning }) {
        try goOn()
        continue
      }
      let fault =
        ["kill", "kill", "kill", "stop", "coordinator", "interrupt"].randomElement(using: &random) ?? "kill"
      let worker = children(of: coordinator.id).randomElement(using: &random)
      counts[fault, default: 0] += 1
      switch fault {
      case "coordinator": coordinator.terminate()
      case "interrupt": coordinator.interrupt()
      case "stop":
        guard let worker else { continue }
        kill(worker, SIGSTOP)
        usleep(300_000)
        kill(worker, SIGCONT)
      default: if let worker { kill(worker, SIGKILL) }
      }
    }
    // A coordinator that was interrupted last ends once more before the run is done.
    for _ in 0..<3 where !isDone { try goOn() }
    let status = try Program.coord.run(["status", run.folder]).output
    try #require(status.contains("completed"), "seed \(seed), \(counts): \(status)")
    try reference.expectSame(run, "seed \(seed), \(counts)")
  }

  /// Row 21 in the moments before the first step: whoever interrupts a run that is being begun is told how it ended,
  /// and the next start goes on with whatever is there.
  @Test func interruptsWhileItBegins() throws {
    let reference = try Self.reference.get()
    let run = try TrainingRun(Self.changes)
    let flags = ["--local-workers", "2", "--threads-per-worker", "1", "--or-resume"]
    var ends: [String: Int] = [:]
    for milliseconds in [0, 1, 3, 5, 10, 20, 30, 50, 80] {
      let coordinator = try run.start(flags)
      #expect(waitUntil(seconds: 30) { !coordinator.output.isEmpty || !coordinator.process.isRunning })
      usleep(UInt32(milliseconds) * 1000)
      coordinator.interrupt()
      let result = try coordinator.wait()
      let isAtOnce = result.status == 128 + SIGINT && result.errors.contains("stopped at once by SIGINT")
      let isInOrder = result.status == 0 && result.errors.contains("stopping when this step is done")
      #expect(isAtOnce || isInOrder, "\(milliseconds) ms: \(result.status): \(result.everything)")
      ends[isAtOnce ? "at once" : "in order", default: 0] += 1
    }
    print("interruptsWhileItBegins: \(ends)")
    try run.train(flags)
    try reference.expectSame(run, "\(ends)")
  }

  /// Row 4 of the fault matrix: nobody is left to compute; the run goes on when one comes back.
  @Test func allWorkersLostAndOneBack() throws {
    let reference = try Self.reference.get()
    let run = try TrainingRun(Self.changes)
    let port = freePort()
    let address = "tcp://127.0.0.1:\(port)"
    let coordinator = try run.start(["--local-workers", "0", "--listen", address])
    let workers = try (0..<2).map { _ in try Program.worker.start(["--connect", address, "--threads", "1"]) }
    #expect(waitUntil(seconds: 30) { steps(run) >= 20 })
    for worker in workers {
      worker.terminate()
      _ = try worker.wait()
    }
    let left = steps(run)
    #expect(left < 400)
    let back = try Program.worker.start(["--connect", address, "--threads", "1"])
    #expect(try coordinator.wait().status == 0, "\(coordinator.output)\(coordinator.errors)")
    #expect(try back.wait(seconds: 20).status == 0, "\(back.errors)")
    try reference.expectSame(run, "lost after step \(left)")
  }

  /// Row 18: the second coordinator is refused while the first works, and the lock does not outlive a SIGKILL.
  @Test func twoCoordinatorsOnOneRun() throws {
    let reference = try Self.reference.get()
    let run = try TrainingRun(Self.changes)
    let first = try run.start()
    #expect(waitUntil(seconds: 30) { steps(run) >= 10 })
    let second = try Program.coord.run(["resume", run.folder])
    #expect(second.status != 0)
    #expect(second.errors.contains("another coordinator works on this run"), "\(second.errors)")
    first.terminate()
    _ = try first.wait()
    try run.resume()
    try reference.expectSame(run, "after SIGKILL of the first coordinator")
  }

  /// Row 21: SIGTERM ends each role with exit code 0, and nothing is lost.
  @Test func terminationOfEachRole() throws {
    let reference = try Self.reference.get()
    let run = try TrainingRun(Self.changes)
    let port = freePort()
    let address = "tcp://127.0.0.1:\(port)"
    let coordinator = try run.start([
      "--local-workers", "1", "--threads-per-worker", "1", "--listen", address,
    ])
    let worker = try Program.worker.start(["--connect", address, "--threads", "1"])
    #expect(waitUntil(seconds: 30) { steps(run) >= 20 })
    worker.process.terminate()
    #expect(try worker.wait(seconds: 20).status == 0, "\(worker.errors)")
    coordinator.process.terminate()
    #expect(try coordinator.wait(seconds: 20).status == 0, "\(coordinator.errors)")
    #expect(steps(run) < 400, "the run ended before it could be stopped")
    try run.resume()
    try reference.expectSame(run, "after SIGTERM of both roles")
  }
}
