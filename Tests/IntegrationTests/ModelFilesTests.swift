import Foundation
import Harness
import JSON
import Testing

/// What people's models, data and adapters look like, by the real programs: what is left out is said, what is too long
/// is counted, and paths are taken as the shell takes them.
@Suite(.serialized) struct ModelFilesTests {
  /// A copy of a golden model with keys of its config changed.
  private func model(_ name: String, _ changes: [String: JSONValue], in scratch: Scratch) throws -> String {
    let copy = scratch.path("model")
    try FileManager.default.copyItem(atPath: Fixtures.path("models/\(name)"), toPath: copy)
    let file = URL(fileURLWithPath: copy + "/config.json")
    var config = try #require(try JSONValue(parsing: Data(contentsOf: file)).object)
    for (key, value) in changes { config[key] = value }
    try Data(JSONValue.object(config).bytes()).write(to: file)
    return copy
  }

  /// One line on standard error, by every command that computes.
  @Test func whatIsLeftOutIsSaid() throws {
    let scratch = try Scratch()
    let model = try model("llama", ["num_hidden_layers": 3], in: scratch)
    let data = Fixtures.path("data/valid.jsonl")
    let commands = [
      ["logits", "--model", model, "--text", "a", "--output", scratch.path("l")],
      ["evaluate", "--model", model, "--data", data],
      ["generate", "--model", model, "--prompt", "a", "--max-tokens", "1"],
    ]
    let said = "left out: model.layers.3.input_layernorm.weight, "
    for command in commands {
      let result = try Program.tool.run(command)
      #expect(result.status == 0 && result.errors.contains(said), "\(result.everything)")
      #expect(result.errors.split(separator: "\n").count == 1)
    }
    let run = try TrainingRun(["base_model_path": .string(model), "num_steps": 1, "num_tiers": 1])
    let trained = try run.train()
    #expect(trained.errors.contains(said))
  }

  /// methods.md: cut without an EOS, counted in the report before training, in the metrics and by evaluate.
  @Test func longRowsAreCounted() throws {
    let rows =
      "{\"text\": \"The river froze early that year, and the boats were laid up.\"}\n{\"text\": \"No.\"}\n"
    let scratch = try Scratch()
    let data = try scratch.write("data.jsonl", rows)
    var run = try TrainingRun([
      "train_data_path": .string(data), "val_data_path": .string(data), "max_seq_length": 8, "num_steps": 2,
    ])
    let trained = try run.train()
    let report = "1 rows of \(data) are longer than 8 tokens (max_seq_length): cut, "
    #expect(
      trained.output.contains(report) && trained.output.contains("the longest: line 1 ("), "\(trained.output)"
    )
    let row = try #require(try run.metrics().last)
    let cut = try #require(row["tokens_cut"]?.int)
    #expect(row["long_rows"] == 1 && cut > 0)
    let config = try JSONValue(parsing: Data(contentsOf: URL(fileURLWithPath: run.file("config.json"))))
    #expect(config["long_rows"] == "cut")
    let evaluated = try Program.tool.run([
      "evaluate", "--model", Fixtures.path("models/qwen2_f32"), "--data", data, "--max-seq-length", "8",
    ])
    #expect(evaluated.output.contains("cut, \(cut) tokens left out"), "\(evaluated.everything)")
    // Split rows have every token.
    let split = try Program.tool.run([
      "evaluate", "--model", Fixtures.path("models/qwen2_f32"), "--data", data, "--max-seq-length", "8",
      "--long-rows", "split", "--json",
    ])
    #expect(try JSONValue(parsing: split.output)["long_rows"]?["parts"]?.int ?? 0 > 1)
    run = try TrainingRun(["train_data_path": .string(data), "max_seq_length": 8, "long_rows": "error"])
    let refused = try run.start().wait()
    #expect(
      refused.status != 0 && refused.errors.contains("data.jsonl:1: text: has "), "\(refused.everything)")
    // qwen2_f32 has 128 positions.
    run = try TrainingRun(["max_seq_length": 129])
    let tooLong = try run.start().wait()
    #expect(
      tooLong.status == 78 && tooLong.errors.contains("max_seq_length: is 129")
        && tooLong.errors.contains("128 positions"), "\(tooLong.everything)")
  }

  /// A BOM, `~`, `..`, names of one component, and text that is not UTF-8.
  @Test func filesAndPathsAsPeopleHaveThem() throws {
    let scratch = try Scratch()
    let model = try model("qwen2_f32", [:], in: scratch)
    try FileManager.default.createDirectory(atPath: scratch.path("inner"), withIntermediateDirectories: true)
    let data = try String(contentsOfFile: Fixtures.path("data/train.jsonl"), encoding: .utf8)
    let list = "[\n " + data.split(separator: "\n").joined(separator: ",\n ") + "\n]\n"
    try scratch.write("rows.json", list)
    try scratch.write(
      "inner/c.yaml",
      """
      \u{FEFF}base_model_path: ../model
      train_data_path: ~/rows.json
      output_path: ../inner/../runs
      num_tiers: 1
      """)
    let home = ["HOME": scratch.path("")]
    let checked = try Program.coord.start(
      ["train", "--config", "~/inner/c.yaml", "--validate-only"], environment: home
    ).wait()
    #expect(checked.status == 0, "\(checked.everything)")
    #expect(
      checked.output.contains("Output   \(scratch.path("runs"))/c") && !checked.output.contains(".."),
      "\(checked.output)")
    #expect(checked.output.contains("Model    \(model) "))
    let utf16 = scratch.path("u.yaml")
    try Data("base_model_path: x".utf16.flatMap { [UInt8($0 & 0xFF), UInt8($0 >> 8)] })
      .write(to: URL(fileURLWithPath: utf16))
    let refused = try Program.coord.run(["train", "--config", utf16])
    #expect(refused.status != 0 && refused.errors.contains("is text in UTF-16"), "\(refused.everything)")
    for arguments in [
      ["model", "init", "--config", model + "/config.json", "--output", "S"],
      ["logits", "--model", model, "--text", "a", "--output", "l"],
    ] {
      let result = try Program.tool.start(
        arguments, prefix: ["/usr/bin/env", "--chdir=\(scratch.path(""))"]
      ).wait()
      #expect(result.status == 0, "\(result.everything)")
    }
    #expect(FileManager.default.fileExists(atPath: scratch.path("S/config.json")))
    #expect(FileManager.default.fileExists(atPath: scratch.path("l")))
    // No path is a crash.
    for path in ["", "/", ".", "..", "//", "~", "no/such", String(repeating: "x", count: 5000)] {
      for arguments in [
        ["model", "init", "--config", path, "--output", path], ["model", "inspect", path],
        ["logits", "--model", path, "--text", "a", "--output", path],
        ["logits", "--model", model, "--text", "a", "--output", path],
        ["evaluate", "--model", model, "--data", path], ["tokenize", "--model", path],
      ] {
        let result = try Program.tool.run(arguments)
        #expect((1...64).contains(result.status), "\(arguments): \(result.status) \(result.everything)")
      }
      for arguments in [
        ["train", "--config", path], ["resume", path], ["status", path], ["rollback", path, "--list"],
        ["train", "--base-model-path", path, "--train-data-path", path, "--validate-only"],
      ] {
        let result = try Program.coord.run(arguments)
        #expect((1...78).contains(result.status), "\(arguments): \(result.status) \(result.everything)")
      }
    }
  }

  /// Embedding, head and norm beside LoRA, of a model whose head is its embedding: each makes another adapter, workers and
  /// windows change no bit, the checkpoint trains on, and evaluate agrees with the run.
  @Test func modulesTrainedAsAWhole() throws {
    var digests = Set<String>()
    for modules in [[], ["lm_head"], ["embed_tokens"], ["norm", "lm_head"]] {
      let changes: [String: JSONValue] = [
        "modules_to_save": .strings(modules), "num_steps": 4, "eval_every": 4, "inactive_gradients": "mean",
      ]
      let one = try TrainingRun(changes, model: "llama")
      try one.train()
      let two = try TrainingRun(changes, model: "llama")
      try two.train(["--local-workers", "2"])
      #expect(try one.stateDigest() == two.stateDigest(), "\(modules)")
      digests.insert(try one.stateDigest())
      let row = try #require(try rows(one.file("metrics/eval_metrics.jsonl")).last)
      let result = try Program.tool.run([
        "evaluate", "--model", Fixtures.path("models/llama"), "--adapter", one.file("checkpoints/final"),
        "--data",
        Fixtures.path("data/valid.jsonl"), "--batch-size", "2", "--max-seq-length", "32", "--json",
      ])
      #expect(
        try JSONValue(parsing: result.output)["loss"] == row["loss"], "\(modules): \(result.everything)")
      let further = try TrainingRun(
        ["adapter_path": .string(one.file("checkpoints/final")), "num_steps": 1, "learning_rate": 0],
        model: "llama")
      var config = further.config
      config["lora_rank"] = nil
      try further.scratch.write("config.json", JSONValue.object(config).text)
      try further.train()
      let next = try #require(try further.metrics().first)
      #expect(next["loss"]?.double != nil, "\(modules)")
    }
    #expect(digests.count == 4)
  }

  /// A fresh adapter of irregular modules trains, and its checkpoint has these modules and ranks.
  @Test func freshAdaptersOfChosenModules() throws {
    let run = try TrainingRun([
      "lora_target_modules": .strings(["q_proj", "mlp.down_proj"]),
      "exclude_modules": ["layers.0.self_attn.q_proj"],
      "rank_pattern": ["layers.3.*": 2], "alpha_pattern": ["down_proj": 3], "num_steps": 2, "eval_every": 2,
    ])
    let trained = try run.train(["--local-workers", "2"])
    #expect(trained.output.contains("LoRA of rank 2, 4, scale 0.75, 1.5, 4.0, 8.0"), "\(trained.output)")
    let peft = try JSONValue(
      parsing: Data(
        contentsOf: URL(fileURLWithPath: run.file("checkpoints/final/peft/adapter_config.json"))))
    #expect(peft["target_modules"]?.array?.count == 7)
    #expect(
      peft["rank_pattern"] == ["model.layers.3.self_attn.q_proj": 2, "model.layers.3.mlp.down_proj": 2])
    #expect(peft["alpha_pattern"]?.object?.members.count == 4)
    var hashes = Set<String>()
    for patterns in [[:], ["rank_pattern": ["layers.3.*": 2]], ["alpha_pattern": ["down_proj": 3]]]
      as [[String: JSONValue]]
    {
      let run = try TrainingRun(patterns.merging(["num_steps": 2]) { $1 })
      try run.train()
      hashes.insert(try run.adapterHash())
    }
    #expect(hashes.count == 3)
    let one = try TrainingRun(["num_layers": 1, "num_tiers": 1, "num_steps": 1])
    let last = try one.train()
    #expect(last.output.contains("(7 modules)") || last.output.contains("rank 4"), "\(last.output)")
    for (key, value, word) in [
      ("rank_pattern", ["lm_head": 2] as JSONValue, "matches no module"),
      ("layers_to_transform", [9], "there is no layer 9"), ("num_layers", 9, "has 4 layers"),
      ("lora_target_modules", ".*nothing", "names no linear layer"),
      ("exclude_modules", "(", "cannot be used"),
    ] {
      let run = try TrainingRun([key: value])
      let wrong = try run.start().wait()
      #expect(wrong.status == 78 && wrong.errors.contains(word), "\(wrong.everything)")
    }
  }
}
