import Foundation
import Harness
import JSON
import Testing

/// A run finds its model, data and adapter by their SHA-256, wherever they are. The reference is the same run without a
/// move.
@Suite(.serialized) struct MovedInputsTests {
  private static let changes: [String: JSONValue] = ["num_steps": 40, "eval_every": 20]

  /// A run whose inputs lie in its own scratch folder, stopped by going back to the start.
  private func run() throws -> (run: TrainingRun, adapter: String) {
    var changes = Self.changes
    let run = try TrainingRun()
    for (key, name) in Self.names {
      let original = try #require(run.config[key]?.string)
      try FileManager.default.createDirectory(
        atPath: run.scratch.path("old"), withIntermediateDirectories: true)
      try FileManager.default.copyItem(atPath: original, toPath: run.scratch.path("old/" + name))
      changes[key] = .string("old/" + name)
    }
    try write(run, changes)
    try run.train()
    let adapter = try run.adapterHash()
    _ = try Program.coord.run(["rollback", run.folder, "--to-step", "0"]).expectSuccess()
    try FileManager.default.moveItem(atPath: run.scratch.path("old"), toPath: run.scratch.path("new"))
    return (run, adapter)
  }

  private static let names = [
    ("base_model_path", "model"), ("train_data_path", "train.jsonl"), ("val_data_path", "valid.jsonl"),
  ]

  private func write(_ run: TrainingRun, _ changes: [String: JSONValue]) throws {
    var config = run.config
    for (key, value) in changes { config[key] = value }
    try run.scratch.write("config.json", JSONValue.object(config).text)
  }

  private func flags(_ run: TrainingRun) -> [String] {
    Self.names.flatMap { ["--" + $0.0.replacing("_", with: "-"), run.scratch.path("new/" + $0.1)] }
  }

  private func expectNewPaths(_ run: TrainingRun, adapter: String) throws {
    #expect(try run.adapterHash() == adapter)
    let config = try JSONValue(parsing: String(contentsOfFile: run.file("config.json"), encoding: .utf8))
    for (key, name) in Self.names { #expect(config[key]?.string == run.scratch.path("new/" + name)) }
    #expect(
      try sqlite(run.file("state.sqlite"), "SELECT base_model_path FROM runs")
        == run.scratch.path("new/model"))
    // From here on without flags.
    try run.resume()
  }

  @Test func resumeWithNewPaths() throws {
    let (run, adapter) = try run()
    let refused = try Program.coord.run(["resume", run.folder])
    #expect(refused.status != 0)
    for word in [
      "old/model", "base_model_path", "--base-model-path PATH", "--train-data-path PATH", "SHA-256",
    ] {
      #expect(refused.errors.contains(word), "\(refused.errors)")
    }
    try run.resume(flags(run))
    try expectNewPaths(run, adapter: adapter)
  }

  @Test func orResumeWithNewPaths() throws {
    let (run, adapter) = try run()
    try write(
      run, Self.changes.merging(Self.names.map { ($0.0, .string("new/" + $0.1)) }) { $1 })
    try run.train(["--or-resume"])
    try expectNewPaths(run, adapter: adapter)
  }

  /// Whatever a config names: the data of a curriculum's stages, what is rehearsed, what weights are measured on.
  @Test func everythingBelowAFolder() throws {
    let run = try TrainingRun()
    let folder = run.scratch.path("old")
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    for name in ["train", "stage", "again", "weights", "valid"] {
      let data = Fixtures.path("data/\(name == "valid" ? "valid" : "train").jsonl")
      try FileManager.default.copyItem(atPath: data, toPath: "\(folder)/\(name).jsonl")
    }
    let variants: [[String: JSONValue]] = [
      [
        "curriculum_strategy": "stages", "val_data_path": "old/valid.jsonl",
        "curriculum_stages": [["target": 0], ["target": 1, "data": "old/stage.jsonl"]],
      ],
      ["replay": "data", "replay_fraction": 0.5, "replay_data_path": "old/again.jsonl"],
      ["ewc_lambda": 1, "ewc_rows": 4, "ewc_data_path": "old/weights.jsonl"],
    ]
    for (number, variant) in variants.enumerated() {
      var changes = variant
      changes.merge([
        "experiment_name": .string("run\(number)"), "train_data_path": "old/train.jsonl", "num_steps": 8,
        "eval_every": 2,
      ]) { $1 }
      try write(run, changes)
      let own = run.scratch.path("runs/run\(number)")
      let adapter = own + "/checkpoints/final/adapters.safetensors"
      _ = try Program.coord.run(["train", "--config", run.scratch.path("config.json")]).expectSuccess()
      let before = try sha256(adapter)
      _ = try Program.coord.run(["rollback", own, "--to-step", "0"]).expectSuccess()
      try FileManager.default.moveItem(atPath: folder, toPath: run.scratch.path("new"))
      let refused = try Program.coord.run(["resume", own])
      #expect(refused.status != 0 && refused.errors.contains("--moved \(folder)=FOLDER"), "\(refused.errors)")
      // What is not below the old folder stays where it is.
      let moved = ["--moved", "/nowhere=/there", "--moved", "\(folder)=\(run.scratch.path("new"))"]
      _ = try Program.coord.run(["resume", own] + moved).expectSuccess()
      #expect(try sha256(adapter) == before, "\(changes)")
      let config = try String(contentsOfFile: own + "/config.json", encoding: .utf8)
      #expect(!config.contains(folder) && config.contains(run.scratch.path("new")))
      // The same command with the new paths finds it to be the same run.
      try write(
        run,
        changes.mapValues { value in
          (try? JSONValue(parsing: value.text.replacing("old/", with: "new/"))) ?? value
        })
      let again = try Program.coord.run(["train", "--config", run.scratch.path("config.json"), "--or-resume"])
      #expect(try again.expectSuccess().output.contains("is finished"), "\(again.output)")
      try FileManager.default.moveItem(atPath: run.scratch.path("new"), toPath: folder)
    }
  }

  @Test func aMoveThatIsNone() throws {
    let result = try Program.coord.run(["resume", "nowhere", "--moved", "a"])
    #expect(result.status != 0)
    #expect(result.errors.contains("must be the old path, =, and the new path"), "\(result.errors)")
  }

  /// Another file at the new place is named, with both digests, and nothing changes.
  @Test func anotherFileIsRefused() throws {
    let (run, _) = try run()
    let before = try String(contentsOfFile: run.file("config.json"), encoding: .utf8)
    let data = run.scratch.path("new/train.jsonl")
    let then = try sha256(data)
    let handle = try FileHandle(forUpdating: URL(fileURLWithPath: data))
    try handle.seekToEnd()
    try handle.write(contentsOf: Data("{\"text\": \"one more\"}\n".utf8))
    try handle.close()
    let model = run.scratch.path("new/model/tokenizer.json")
    let result = try Program.coord.run(["resume", run.folder] + flags(run))
    #expect(result.status != 0)
    for word in [data, try sha256(data), then] { #expect(result.errors.contains(word), "\(result.errors)") }
    // In a folder, the file is named.
    try FileManager.default.removeItem(atPath: data)
    try FileManager.default.copyItem(atPath: Fixtures.path("data/train.jsonl"), toPath: data)
    let tokenizer = try sha256(model)
    let more = try FileHandle(forUpdating: URL(fileURLWithPath: model))
    try more.seekToEnd()
    try more.write(contentsOf: Data("\n".utf8))
    try more.close()
    let second = try Program.coord.run(["resume", run.folder] + flags(run))
    #expect(second.status != 0)
    for word in [model, tokenizer, try sha256(model)] {
      #expect(second.errors.contains(word), "\(second.errors)")
    }
    #expect(try String(contentsOfFile: run.file("config.json"), encoding: .utf8) == before)
  }
}
