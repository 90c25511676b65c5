import Foundation
import Harness
import JSON
import Testing

/// `nl-tool sweep`.
@Suite(.serialized) struct SweepTests {
  private func sweep(_ run: TrainingRun, _ more: [String] = []) throws -> Program.Result {
    try Program.tool.run(
      [
        "sweep", "--config", run.configPath, "--grid", "tier_update_frequencies=[1,2,4]|[1,3,9]", "--grid",
        "tier_order=shallow_fast|deep_fast", "--local-workers", "2", "--threads-per-worker", "1",
      ] + more)
  }

  private func names(_ run: TrainingRun) throws -> Set<String> {
    try Set(FileManager.default.contentsOfDirectory(atPath: run.scratch.path("runs/test-sweep")))
  }

  /// Each run is that of a config with these values, and a second call trains nothing again.
  @Test func everyCombinationIsTrainedOnce() throws {
    let run = try TrainingRun()
    let said = try sweep(run, ["--parallel-runs", "2"]).expectSuccess()
    let runs = [
      "tier_update_frequencies=1-2-4,tier_order=shallow_fast",
      "tier_update_frequencies=1-2-4,tier_order=deep_fast",
      "tier_update_frequencies=1-3-9,tier_order=shallow_fast",
      "tier_update_frequencies=1-3-9,tier_order=deep_fast",
    ]
    let folder = run.scratch.path("runs/test-sweep")
    #expect(try names(run) == Set(runs + ["sweep.html", "sweep.json"]))
    let alone = try TrainingRun(["tier_order": "deep_fast", "tier_update_frequencies": [1, 3, 9]])
    try alone.train()
    #expect(
      try sha256("\(folder)/\(runs[3])/checkpoints/final/adapters.safetensors") == alone.adapterHash())
    let results = try #require(
      JSONValue(parsing: String(contentsOfFile: folder + "/sweep.json", encoding: .utf8)).array)
    #expect(results.count == 4 && results.allSatisfy { $0["state"] == "completed" })
    let losses = results.compactMap { $0["best_val_loss"]?.double }
    #expect(losses.count == 4 && losses == losses.sorted())
    #expect(said.output.contains("Best loss") && said.output.contains("[1, 3, 9]"))
    let ledger = "\(folder)/\(runs[0])/state.sqlite"
    let term = try sqlite(ledger, "SELECT term FROM runs")
    let again = try sweep(run).expectSuccess()
    #expect(again.output.components(separatedBy: "Finished before").count - 1 == 4, "\(again.everything)")
    #expect(try sqlite(ledger, "SELECT term FROM runs") == term)
  }

  /// Killed in the middle, the same command goes on: what was done stays, and all end with the bits of runs of their own.
  @Test func aSweepGoesOnWhereItWasKilled() throws {
    let changes: [String: JSONValue] = ["num_steps": 300, "eval_every": 150]
    let run = try TrainingRun(changes)
    let arguments = [
      "sweep", "--config", run.configPath, "--grid", "seed=1|2", "--threads-per-worker", "1",
    ]
    let running = try Program.tool.start(arguments)
    let second = run.scratch.path("runs/test-sweep/seed=2/metrics/train_metrics.jsonl")
    try #require(
      waitUntil(seconds: 100) { ((try? rows(second).count) ?? 0) > 20 || !running.process.isRunning })
    kill(running.process.processIdentifier, SIGKILL)
    _ = try running.wait()
    let done = try Program.tool.run(arguments).expectSuccess()
    #expect(done.output.contains("Finished before"))
    for seed in [1, 2] {
      let alone = try TrainingRun(changes.merging(["seed": .number(seed)]) { $1 })
      try alone.train(["--threads-per-worker", "1"])
      let adapter = run.scratch.path("runs/test-sweep/seed=\(seed)/checkpoints/final/adapters.safetensors")
      #expect(try sha256(adapter) == alone.adapterHash())
    }
    let table = try Program.tool.run(arguments + ["--table", "--json"]).expectSuccess().output
    #expect(try JSONValue(parsing: table).array?.count == 2)
  }

  /// One that cannot begin does not keep the others from their end, and is told.
  @Test func aRunThatFailsDoesNotStopTheOthers() throws {
    let run = try TrainingRun(["num_steps": 2])
    let result = try Program.tool.run([
      "sweep", "--config", run.configPath, "--grid", "max_seq_length=32|4096",
    ])
    #expect(result.status != 0 && result.everything.contains("1 of 2 runs failed"), "\(result.everything)")
    #expect(result.output.contains("completed") && result.output.contains("not begun"))
  }

  @Test func whatIsNoGridIsNamed() throws {
    let run = try TrainingRun()
    func errors(_ grid: [String]) throws -> String {
      let result = try Program.tool.run(
        ["sweep", "--config", run.configPath] + grid.flatMap { ["--grid", $0] })
      #expect(result.status != 0 && !FileManager.default.fileExists(atPath: run.scratch.path("runs")))
      return result.errors
    }
    #expect(try errors(["learning_rat=1|2"]).contains("the nearest key is learning_rate"))
    #expect(try errors(["learning_rate"]).contains("is not of the form KEY=VALUE|VALUE"))
    #expect(try errors(["seed=1|1"]).contains("has a value twice"))
    #expect(try errors(["seed=1", "seed=2"]).contains("has the key seed twice"))
    #expect(try errors(["num_tiers=3|2"]).contains("tier_update_frequencies"))
    #expect(try errors(["experiment_name=a|b"]).contains("is what tells the runs apart"))
    #expect(try errors([]).contains("--grid is missing"))
  }
}
