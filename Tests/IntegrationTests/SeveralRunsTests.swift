import Foundation
import Harness
import JSON
import Testing

/// Several runs in one coordinator, with the same workers: each comes to what it comes to alone.
@Suite struct SeveralRunsTests {
  private static let steps = 120

  private static func run(_ model: String, _ changes: [String: JSONValue] = [:]) throws -> TrainingRun {
    var all: [String: JSONValue] = [
      "num_steps": .number(steps), "inactive_gradients": "mean", "tier_update_frequencies": [1, 2, 4],
      "gradient_accumulation_steps": 4, "eval_every": 40,
    ]
    for (key, value) in changes { all[key] = value }
    return try TrainingRun(all, model: model)
  }

  private static func wait(_ what: String, seconds: Double = 60, _ isSo: () throws -> Bool) throws {
    let end = Date() + seconds
    while try !isSo() {
      guard Date() < end else { throw HarnessError("\(what) has not come about in \(seconds) s") }
      usleep(20_000)
    }
  }

  private static func status(_ run: TrainingRun) throws -> JSONValue {
    try JSONValue(parsing: Program.coord.run(["status", run.folder, "--json"]).expectSuccess().output)
  }

  /// Two runs of different models share three workers that come from elsewhere; one rests meanwhile, and goes on.
  @Test func twoRunsShareThreeWorkers() throws {
    let (a, b) = try (Self.run("llama"), Self.run("qwen3"))
    let alone = try (Self.run("llama"), Self.run("qwen3"))
    try alone.0.train(["--local-workers", "2"])
    try alone.1.train(["--local-workers", "1"])

    let port = freePort()
    let coordinator = try Program.coord.start([
      "train", "--config", a.configPath, "--config", b.configPath, "--parallel-runs", "2", "--local-workers",
      "0",
      "--listen", "tcp://127.0.0.1:\(port)",
    ])
    // Slow enough for there to be something to rest from.
    let workers = try (0..<3).map { _ in
      try Program.worker.start(
        ["--connect", "tcp://127.0.0.1:\(port)", "--threads", "1"],
        environment: ["NL_FAILPOINTS": "compute.delay=0.004"])
    }
    try Self.wait("the tenth step of both") { a.step >= 10 && b.step >= 10 }
    try Program.coord.run(["pause", a.folder]).expectSuccess()
    try Self.wait("the pause") { try Self.status(a)["is_resting"]?.bool == true }
    let rested = a.step
    let other = b.step
    try Self.wait("three workers at the other run") { try Self.status(b)["workers"]?.array?.count == 3 }
    try Self.wait("more of the other run") { b.step >= min(other + 10, Self.steps) }
    #expect(a.step == rested)
    let told = try Program.coord.run(["resume", a.folder]).expectSuccess()
    #expect(told.output.contains("goes on with it"))
    let result = try coordinator.wait().expectSuccess()
    #expect(result.output.contains("Done: \(a.folder)") && result.output.contains("Done: \(b.folder)"))
    for worker in workers { #expect(try worker.wait().status == 0, "they are sent away when all is done") }
    #expect(try a.adapterHash() == alone.0.adapterHash() && a.stateDigest() == alone.0.stateDigest())
    #expect(try b.adapterHash() == alone.1.adapterHash() && b.stateDigest() == alone.1.stateDigest())
  }

  /// Workers that were started with a model's folder work on the runs of that model, and are not sent into others.
  @Test func workersWithModelsOfTheirOwn() throws {
    let (a, b) = try (Self.run("llama", ["num_steps": 30]), Self.run("qwen3", ["num_steps": 30]))
    let alone = try (Self.run("llama", ["num_steps": 30]), Self.run("qwen3", ["num_steps": 30]))
    try alone.0.train()
    try alone.1.train()
    let port = freePort()
    let workers = try ["qwen3", "llama"].map { model in
      try Program.worker.start([
        "--connect", "tcp://127.0.0.1:\(port)", "--threads", "1", "--model", Fixtures.path("models/\(model)"),
      ])
    }
    let coordinator = try Program.coord.start([
      "train", "--config", a.configPath, "--config", b.configPath, "--parallel-runs", "2", "--local-workers",
      "0", "--listen", "tcp://127.0.0.1:\(port)",
    ])
    try coordinator.wait().expectSuccess()
    for worker in workers { #expect(try worker.wait().status == 0) }
    #expect(try a.adapterHash() == alone.0.adapterHash() && b.adapterHash() == alone.1.adapterHash())
  }

  /// A queue: in order; a run that cannot begin, or fails, does not keep the others from going on, and is named at the
  /// end. The same command again goes on with what was not finished, and leaves the rest.
  @Test func aQueueGoesOn() throws {
    let first = try Self.run("qwen2_f32", ["num_steps": 6])
    let broken = try Self.run("qwen2_f32", ["num_steps": 6, "train_data_path": "/nowhere/train.jsonl"])
    let last = try Self.run("llama", ["num_steps": 6])
    let flags = [first, broken, last].flatMap { ["--config", $0.configPath] }
    let result = try Program.coord.run(["train"] + flags + ["--local-workers", "2"])
    #expect(result.status == 1)
    #expect(
      result.errors.contains("1 of 3 runs failed") && result.everything.contains("/nowhere/train.jsonl"))
    #expect(first.step == 6 && last.step == 6)
    let (one, two) = try (first.adapterHash(), last.adapterHash())

    let again = try Program.coord.run(["train", "--or-resume"] + flags + ["--local-workers", "1"])
    #expect(again.status == 1 && again.output.contains("Finished before: "))
    #expect(try first.adapterHash() == one && last.adapterHash() == two)

    let same = try Program.coord.run(["train", "--config", first.configPath, "--config", first.configPath])
    #expect(same.status != 0 && same.errors.contains("both have the run folder"))
  }

  /// SIGINT stops what is at work, and what waits is not begun; the same command goes on, to the same bits.
  @Test func aQueueIsStopped() throws {
    let runs = try [Self.run("qwen2_f32"), Self.run("llama", ["num_steps": 8])]
    let alone = try [Self.run("qwen2_f32"), Self.run("llama", ["num_steps": 8])]
    for run in alone { try run.train() }
    let flags = ["train", "--or-resume"] + runs.flatMap { ["--config", $0.configPath] }
    let coordinator = try Program.coord.start(flags, environment: ["NL_FAILPOINTS": "compute.delay=0.005"])
    try Self.wait("the fifth step") { runs[0].step >= 5 }
    coordinator.process.interrupt()
    let result = try coordinator.wait().expectSuccess()
    #expect(result.errors.contains("is not begun"))
    #expect(!FileManager.default.fileExists(atPath: runs[1].folder))
    try Program.coord.run(flags).expectSuccess()
    for (run, other) in zip(runs, alone) { #expect(try run.adapterHash() == other.adapterHash()) }
  }
}
