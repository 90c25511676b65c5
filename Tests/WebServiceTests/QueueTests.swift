import Foundation
import Harness
import JSON
import Testing

/// Runs of a service: each comes to what it comes to alone, whatever happens to the service meanwhile.
@Suite struct QueueTests {
  /// A run that is still at some step when it is asked to rest, or killed, however slow the machine is.
  private static let long: [String: JSONValue] = ["num_steps": 240, "eval_every": 60]

  /// What `nl-coord train` makes of the same config.
  private static func alone(_ changes: [String: JSONValue] = [:]) throws -> String {
    let run = try TrainingRun(changes)
    try run.train()
    return try run.adapterHash()
  }

  @Test func aRunFromItsStartToItsEnd() throws {
    let service = try RunningService()
    #expect(try service.status()["status"] == "idle")
    let started = try service.json("POST", "start", RunningService.config("first"))
    #expect(started["success"] == true && started["experiment_name"] == "first")
    try service.waitForEnd(of: "first")
    #expect(try service.adapterHash("first") == Self.alone())
    let status = try service.status()
    #expect(
      status["experiment_name"] == "first" && status["current_step"] == 10 && status["total_steps"] == 10)
    // ⌊10/f⌋ updates for the periods 1, 2 and 4.
    let updates = (0..<3).map { status["tier_stats"]?["tier_\($0)"]?["update_count"]?.int }
    #expect(updates == [10, 5, 2])
    let metrics = try service.json("GET", "metrics?since=7&experiment=first")
    #expect(metrics["metrics"]?.array?.compactMap { $0["step"]?.int } == [8, 9, 10])
    // The evaluation after step 5 comes later than the row of step 5, which a client may have by then.
    let later = try service.json("GET", "metrics?since=5&experiment=first")
    #expect(later["evaluations"]?.array?.compactMap { $0["step"]?.int } == [5, 10])
    let all = try service.json("GET", "metrics?experiment=first")
    #expect(all["evaluations"]?.array?.compactMap { $0["step"]?.int } == [5, 10])
    let details = try service.json("GET", "experiments/first")
    #expect(details["config"]?["lora_rank"] == 4 && details["ledger"]?["starts"] == 1)
    #expect(details["checkpoints"]?.array?.compactMap { $0["name"]?.string }.contains("final") == true)
    let report = try service.answer("GET", "/nested-learning/experiments/first/report")
    #expect(report.status == "200" && report.body.contains("<h1>first</h1>"))
  }

  /// Killed in mid-run, twice, with another run waiting: both go on by themselves, to the same bits.
  @Test func whatRanAndWaitedGoesOnAfterAKill() throws {
    let service = try RunningService(delay: 0.03)
    try service.json("POST", "start", RunningService.config("a", Self.long))
    try service.json("POST", "start", RunningService.config("b"))
    try service.wait("step 10 of a") { try service.step("a") >= 10 }
    #expect(try service.status("b")["status"] == "queued")
    try service.killAndStart()
    #expect(try service.json("GET", "experiments")["queue"] == ["a", "b"])
    try service.wait("more of a") { try service.step("a") >= 30 }
    // Asked to end, it stops the run in hand; that is not the run's own stop.
    try service.endAndStart()
    try service.waitForEnd(of: "a")
    try service.waitForEnd(of: "b")
    #expect(try service.adapterHash("a") == Self.alone(Self.long))
    #expect(try service.adapterHash("b") == Self.alone())
    #expect(try service.json("GET", "experiments/a")["ledger"]?["starts"] == 3)
    #expect(try service.json("GET", "experiments")["queue"] == [])
  }

  /// A run that rests leaves its place to the next, and rests on after a restart; one that was stopped can be resumed.
  @Test func pauseResumeAndStop() throws {
    let service = try RunningService(delay: 0.03)
    try service.json("POST", "start", RunningService.config("a", Self.long))
    try service.wait("step 5") { try service.step("a") >= 5 }
    try service.json("POST", "pause")
    try service.json("POST", "start", RunningService.config("b"))
    try service.waitForEnd(of: "b")
    let rested = try service.step("a")
    #expect(try service.status("a")["status"] == "paused" && rested < 240)
    try service.killAndStart()
    usleep(500_000)
    #expect(try service.status("a")["status"] == "paused" && service.step("a") == rested)
    try service.json("POST", "resume", ["experiment_name": "a"])
    try service.wait("more of a") { try service.step("a") > rested }
    try service.json("POST", "stop", ["experiment_name": "a"])
    try service.waitForEnd(of: "a", as: "stopped")
    try service.killAndStart()
    usleep(500_000)
    #expect(try service.status("a")["status"] == "stopped", "what was stopped does not go on by itself")
    try service.json("POST", "resume?experiment=a")
    try service.waitForEnd(of: "a")
    #expect(try service.adapterHash("a") == Self.alone(Self.long))
  }

  /// One that waits can be stopped before it has begun, and put before others.
  @Test func theOrderOfThoseThatWait() throws {
    let service = try RunningService(delay: 0.03)
    try service.json("POST", "start", RunningService.config("a", Self.long))
    for name in ["b", "c", "d"] { try service.json("POST", "start", RunningService.config(name)) }
    try service.json("POST", "stop", ["experiment_name": "b"])
    try service.json("POST", "queue", ["order": ["d"]])
    try service.waitForEnd(of: "d")
    try service.waitForEnd(of: "c")
    #expect(!FileManager.default.fileExists(atPath: service.runs + "/b"))
    let begun = try ["c", "d"].map {
      try service.json("GET", "experiments/\($0)")["created_at"]?.string ?? ""
    }
    #expect(begun[1] < begun[0])
  }

  /// A run that another coordinator is at is shown as its ledger has it, and is not taken from it.
  @Test func runsOfOtherCoordinators() throws {
    let service = try RunningService()
    let other = try TrainingRun(["output_path": .string(service.runs), "num_steps": 2000])
    let coordinator = try other.start()
    defer { coordinator.terminate() }
    try service.wait("its first steps") {
      try service.json("GET", "experiments")["experiments"]?.array?.first?["current_step"]?.int ?? 0 > 2
    }
    #expect(try service.status("test")["status"] == "running")
    #expect(try service.answer("POST", "/nested-learning/stop", ["experiment_name": "test"]).status == "409")
    try service.json("POST", "pause", ["experiment_name": "test"])
    try service.wait("its rest") { coordinator.errors.contains("pause") }
    coordinator.terminate()
    coordinator.process.waitUntilExit()
    #expect(try service.status("test")["status"] == "stopped")
  }

  @Test func aRunIsDownloadedAndDeleted() throws {
    let service = try RunningService()
    try service.json("POST", "start", RunningService.config("a"))
    try service.waitForEnd(of: "a")
    let path = "/nested-learning/experiments/a"
    let config = try service.answer("GET", path + "/checkpoints/final/adapter_config.json")
    let written = try String(
      contentsOfFile: service.runs + "/a/checkpoints/final/adapter_config.json", encoding: .utf8)
    #expect(config.status == "200" && config.body == written)
    for other in ["..%2F..%2Fconfig.json", "none", ".."] {
      #expect(try service.answer("GET", path + "/checkpoints/final/" + other).status == "404", "\(other)")
    }
    #expect(try service.answer("GET", path + "/checkpoints/..%2F..%2Fa/config.json").status == "404")
    #expect(try service.answer("DELETE", path).status == "200")
    #expect(!FileManager.default.fileExists(atPath: service.runs + "/a"))
    #expect(try service.json("GET", "experiments")["experiments"] == [])
    #expect(try service.answer("DELETE", path).status == "404")
    try service.json("POST", "start", RunningService.config("a", ["num_steps": 100_000]))
    #expect(try service.answer("DELETE", path).status == "409", "it is in the queue")
  }

  /// One service looks after a folder.
  @Test func aSecondServiceIsRefused() throws {
    let service = try RunningService()
    let second = try Program.coord.run(["serve", "--listen-http", "127.0.0.1:0", "--runs", service.runs])
    #expect(second.status != 0 && second.everything.contains("another service looks after"))
    _ = service
  }

  @Test func aDamagedQueueIsNamed() throws {
    let scratch = try Scratch()
    try FileManager.default.createDirectory(atPath: scratch.path("runs"), withIntermediateDirectories: true)
    try scratch.write("runs/queue.json", #"{"runs": [{"name": "a"}]}"#)
    let result = try Program.coord.run([
      "serve", "--listen-http", "127.0.0.1:0", "--runs", scratch.path("runs"), "--models",
      scratch.path("models"),
      "--data", scratch.path("data"),
    ])
    #expect(result.status != 0 && result.everything.contains("queue.json is not what a service writes"))
  }

  /// A run whose data has gone before its turn came is shown with the reason, and the next one begins.
  @Test func aRunThatCannotBegin() throws {
    let service = try RunningService(delay: 0.03)
    // However long the requests take, the first run is at work until it is stopped.
    try service.json("POST", "start", RunningService.config("a", ["num_steps": 100_000]))
    try service.scratch.write("data/other.jsonl", #"{"text": "gone before it is read"}"# + "\n")
    try service.json("POST", "start", RunningService.config("b", ["train_data_path": "other.jsonl"]))
    try service.json("POST", "start", RunningService.config("c"))
    try FileManager.default.removeItem(atPath: service.scratch.path("data/other.jsonl"))
    try service.json("POST", "stop", ["experiment_name": "a"])
    try service.waitForEnd(of: "c")
    let failed = try service.status("b")
    #expect(failed["status"] == "error" && failed["message"]?.string?.contains("other.jsonl") == true)
  }
}
