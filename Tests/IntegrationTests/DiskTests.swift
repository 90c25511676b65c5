import Foundation
import Harness
import JSON
import Testing
import Transport
import WireProtocol

/// Row 7 of the fault matrix with real processes: the disk is full, or fails; the run pauses, says so, keeps its
/// workers, and goes on. The reference is the same run on a sound disk. Also `nl-coord status` of a run at work, and how
/// long a coordinator needs to be back.
@Suite(.serialized) struct DiskTests {
  static let changes: [String: JSONValue] = [
    "inactive_gradients": "sum", "num_steps": 150, "eval_every": 50, "checkpoint_every": 40,
    "tier_update_frequencies": [1, 3, 7], "gradient_accumulation_steps": 4,
  ]

  struct Reference: Sendable {
    let adapter: String
    let state: String

    init() throws {
      let run = try TrainingRun(DiskTests.changes)
      try run.train()
      adapter = try run.adapterHash()
      state = try run.stateDigest()
    }

    func expectSame(_ run: TrainingRun, _ comment: Comment, line: Int = #line) throws {
      let place = SourceLocation(fileID: #fileID, filePath: #filePath, line: line, column: 1)
      #expect(try run.adapterHash() == adapter, comment, sourceLocation: place)
      #expect(try run.stateDigest() == state, comment, sourceLocation: place)
      #expect(try run.metrics().map { $0["step"]?.int } == Array(1...150), comment, sourceLocation: place)
    }
  }

  static let reference = Result { try Reference() }

  func steps(_ run: TrainingRun) -> Int { (try? rows(run.file("metrics/train_metrics.jsonl")).count) ?? 0 }

  /// Keeps a run long enough at work to be looked at.
  static let slowly = ["NL_FAILPOINTS": "compute.delay=0.01"]

  func status(_ run: TrainingRun) throws -> JSONValue {
    try JSONValue(parsing: Program.coord.run(["status", run.folder, "--json"]).output)
  }

  // MARK: - A full disk

  /// A run whose output is on a volume of its own.
  private func run(on volume: SmallVolume) throws -> TrainingRun {
    let run = try TrainingRun(Self.changes)
    try FileManager.default.createSymbolicLink(
      atPath: run.scratch.path("runs"), withDestinationPath: volume.path)
    return run
  }

  @Test(.enabled(if: SmallVolume.isPermitted, "mounting a small volume needs root"))
  func row07FullDiskPausesTheRun() throws {
    let reference = try Self.reference.get()
    let volume = try #require(SmallVolume(kibibytes: 16 << 10))
    let run = try run(on: volume)
    let coordinator = try run.start(
      ["--local-workers", "2", "--threads-per-worker", "1"], environment: Self.slowly)
    #expect(waitUntil(seconds: 30) { steps(run) >= 20 })
    let workers = Set(children(of: coordinator.id))
    try volume.fill()
    #expect(waitUntil(seconds: 20) { coordinator.errors.contains("paused (disk)") }, "\(coordinator.errors)")
    let stood = steps(run)
    let live = try status(run)
    #expect(live["state"] == "paused", "\(live.text)")
    let reason = live["reason"]?.string ?? ""
    #expect(reason.contains("disk: ") && reason.contains("free some space"), "\(reason)")
    #expect(reason.contains(volume.path) || reason.contains(run.folder), "it names the path: \(reason)")
    #expect((live["ends_in"]?.double ?? 0) > 300)
    #expect(live["workers"]?.array?.count == 2)
    usleep(2_500_000)
    #expect(coordinator.process.isRunning && steps(run) == stood)
    #expect(Set(children(of: coordinator.id)) == workers, "workers are kept")

    let freed = ContinuousClock.now
    try volume.makeRoom()
    #expect(waitUntil(seconds: 20) { steps(run) > stood })
    print("row 7: a full disk, goes on \(ContinuousClock.now - freed) after there is room")
    #expect(try coordinator.wait().status == 0, "\(coordinator.errors)")
    #expect(coordinator.errors.contains("the disk is back"))
    try reference.expectSame(run, "full after step \(stood)")
  }

  /// Nobody makes room: the run ends by name when its time is over, and goes on later.
  @Test(.enabled(if: SmallVolume.isPermitted, "mounting a small volume needs root"))
  func row07FullDiskForTooLong() throws {
    let reference = try Self.reference.get()
    let volume = try #require(SmallVolume(kibibytes: 16 << 10))
    let run = try run(on: volume)
    let coordinator = try run.start(environment: ["NL_FAILPOINTS": "compute.delay=0.01,disk.pause=4"])
    #expect(waitUntil(seconds: 30) { steps(run) >= 20 })
    try volume.fill()
    let result = try coordinator.wait(seconds: 30)
    #expect(result.status != 0)
    #expect(
      result.errors.contains("the disk did not come back within 4 s")
        && result.errors.contains("nl-coord resume"),
      "\(result.errors)")
    try volume.makeRoom()
    try run.resume()
    try reference.expectSame(run, "ended after step \(steps(run))")
  }

  // MARK: - A disk that fails

  private static let strace = "/usr/bin/strace"
  private static let canTrace = FileManager.default.isExecutableFile(atPath: strace)

  /// The system's calls fail on purpose, in the real program: three in a row, from a thread's n-th call on. (In the
  /// first few the run's folder is made; a fault there ends the program, and nothing is left.)
  @Test(
    .enabled(if: canTrace, "needs strace (apt install strace)"),
    arguments: [
      ("fdatasync", "EIO", 24), ("fdatasync", "EIO", 40), ("pwrite64", "ENOSPC", 300),
      ("pwrite64", "EIO", 500),
      ("fsync", "EIO", 18), ("fsync", "EIO", 30),
    ])
  func row07FailingCalls(call: String, error: String, number: Int) throws {
    let reference = try Self.reference.get()
    let run = try TrainingRun(Self.changes)
    // Only what concerns the run's folder: -P would follow paths that are opened later, too.
    let coordinator = try Program.coord.start(
      ["train", "--config", run.configPath], environment: Self.slowly,
      prefix: [
        Self.strace, "-f", "--seccomp-bpf", "-qqq", "-o", "/dev/null", "-e", "trace=\(call)", "-e",
        "inject=\(call):error=\(error):when=\(number)..\(number + 2)",
      ])
    let result = try coordinator.wait(seconds: 120)
    let comment: Comment = "\(call) \(error) at the calls from \(number) on: \(result.errors)"
    try #require(result.status == 0, comment)
    #expect(result.errors.contains("paused (disk)"), comment)
    try reference.expectSame(run, comment)
    print("row 7: \(call) fails with \(error) from call \(number) on: paused, went on")
  }

  // MARK: - Status

  /// Each wait has its reason, worker and age, whether the run's folder or its address is given.
  @Test func statusOfARunAtWork() throws {
    let run = try TrainingRun(Self.changes)
    let port = freePort()
    let address = "tcp://127.0.0.1:\(port)"
    let coordinator = try run.start(
      ["--local-workers", "0", "--listen", address], environment: ["NL_FAILPOINTS": "compute.delay=0.2"])
    var live: JSONValue = nil
    func waitFor(_ state: String) -> Bool {
      waitUntil(seconds: 30) {
        live = (try? status(run)) ?? nil
        return live["state"]?.string == state
      }
    }
    #expect(waitFor("gathering"), "\(live.text)")
    #expect(live["reason"] == "there is no worker" && (live["ends_in"]?.double ?? 0) > 500, "\(live.text)")
    #expect((live["waits"]?.array ?? []).first?["age"]?.double.map { $0 >= 0 } == true)

    let worker = try Program.worker.start(
      ["--connect", address, "--threads", "1"], environment: ["NL_FAILPOINTS": "compute.delay=0.2"])
    #expect(waitFor("computing"), "\(live.text)")
    #expect(
      waitUntil(seconds: 10) {
        live = (try? status(run)) ?? nil
        return (live["waits"]?.array ?? []).contains { $0["worker"]?.int == 1 }
      })
    #expect(live["workers"]?.array?.count == 1 && live["shards"]?.array?.isEmpty == false, "\(live.text)")
    let text = try Program.coord.run(["status", address])
    #expect(text.status == 0 && text.output.contains("worker 1: attempt"), "\(text.everything)")
    #expect(try answers(to: 3, at: address) == 3)

    kill(worker.id, SIGKILL)
    #expect(waitFor("paused"), "\(live.text)")
    let step = live["step"]?.int
    coordinator.terminate()
    _ = try coordinator.wait()
    // Without a coordinator the ledger is asked.
    let last = try status(run)
    #expect(last["state"] == "interrupted" && last["step"]?.int == step, "\(last.text)")
    let words = try Program.coord.run(["status", run.folder]).output
    #expect(words.contains("test: interrupted (no coordinator holds it; nl-coord resume"), "\(words)")
    let nobody = try Program.coord.run(["status", address], seconds: 30)
    #expect(nobody.status != 0 && nobody.errors.contains("no coordinator answered"), "\(nobody.everything)")
  }

  /// How many of so many STATUS messages are answered, all over one connection.
  private func answers(to count: Int, at address: String) throws -> Int {
    let dealer = try Dealer(connect: address, waker: Waker())
    defer { dealer.close(flushing: false) }
    var answers = 0
    for _ in 0..<count {
      try dealer.send(.status(StatusRequest()), of: .none, session: .none)
      for _ in 0..<25 {
        let replies = try dealer.poll(timeout: 0.2).filter { received in
          if case .success((_, .statusReply)) = received { true } else { false }
        }
        answers += replies.count
        if !replies.isEmpty { break }
      }
    }
    return answers
  }

  // MARK: - Back after SIGKILL

  /// Row 5's bound: back and computing within 10 s, on the quickstart's model.
  @Test func row05CoordinatorIsBackWithinTenSeconds() throws {
    let quickstart = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
      .appendingPathComponent("../../examples/quickstart/quickstart.json").standardizedFileURL.path
    let scratch = try Scratch()
    let folder = scratch.path("back")
    let flags = ["--local-workers", "2", "--threads-per-worker", "1"]
    func committed() -> Int { (try? rows(folder + "/metrics/train_metrics.jsonl").count) ?? 0 }
    func live() -> JSONValue {
      (try? JSONValue(parsing: Program.coord.run(["status", folder, "--json"]).output)) ?? nil
    }
    var coordinator = try Program.coord.start(
      ["train", "--config", quickstart, "--output-path", scratch.folder, "--experiment-name", "back"] + flags)
    for round in 1...3 {
      let goal = committed() + 15
      #expect(waitUntil(seconds: 120) { committed() >= goal }, "\(coordinator.errors)")
      coordinator.terminate()
      _ = try coordinator.wait()
      let before = committed()
      let killed = ContinuousClock.now
      coordinator = try Program.coord.start(["resume", folder] + flags)
      #expect(waitUntil(seconds: 60) { live()["state"]?.string == "computing" }, "\(coordinator.errors)")
      let computing = ContinuousClock.now - killed
      #expect(waitUntil(seconds: 60) { committed() > before }, "\(coordinator.errors)")
      let ahead = ContinuousClock.now - killed
      print(
        "row 5: coordinator killed after step \(before), round \(round): computing again after \(computing), "
      )
      print("  next step committed after \(ahead)")
      #expect(computing < .seconds(10))
    }
    coordinator.terminate()
    _ = try coordinator.wait()
  }
}
