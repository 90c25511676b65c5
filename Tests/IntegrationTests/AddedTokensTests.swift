import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// `add_tokens`: ids as transformers gives them, rows that begin as the mean row, all of it trained, written and read
/// again. What twelve steps come to is held to PyTorch in GoldenTrainingTests (`qwen2_tokens`).
@Suite(.serialized) struct AddedTokensTests {
  private static let tokens: JSONValue = ["the", "boats"]

  /// At a rate that changes no number: the rows of base tokens are the base model's, those of new ones their mean, summed
  /// here another way round; an untied head has a mean of its own, a tied one becomes a matrix of its own.
  @Test(arguments: ["qwen2_f32", "llama"]) func newRowsAreTheMeanRow(model: String) throws {
    let run = try TrainingRun(
      ["add_tokens": Self.tokens, "num_steps": 1, "learning_rate": 1e-30, "warmup_steps": 1], model: model)
    let trained = try run.train()
    let folder = try ModelFolder(path: Fixtures.path("models/" + model))
    let count = folder.configuration.vocabularySize
    let (first, rows) = (
      try folder.tokenizer().vocabularySize, max(count, try folder.tokenizer().vocabularySize + 2)
    )
    #expect(
      trained.output.contains("2 added, with the ids \(first) to \(first + 1): the, boats"),
      "\(trained.output)")
    let written = try SafetensorsFile(path: run.file("checkpoints/final/peft/adapter_model.safetensors"))
    for (name, base) in [
      ("model.embed_tokens.weight", "model.embed_tokens.weight"),
      (
        "lm_head.weight", folder.configuration.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight"
      ),
    ] {
      let own = try written.tensor("base_model.model." + name).hostTensor()
      let before = try folder.weights.tensor(base).hostTensor()
      let width = folder.configuration.hiddenSize
      try #require(own.shape == [rows, width])
      #expect(own.values.prefix(first * width).elementsEqual(before.values.prefix(first * width)), "\(name)")
      for column in 0..<width {
        let mean =
          (0..<count).reversed().reduce(0.0) { $0 + Double(before.values[$1 * width + column]) }
          / Double(count)
        for row in [first, first + 1] {
          #expect(
            abs(Double(own.values[row * width + column]) - mean) <= 1e-7 * max(1, abs(mean)), "\(name) \(row)"
          )
        }
      }
    }
  }

  /// One worker or two, stopped or not, and with the tokens or without; then the checkpoint is used in every way.
  @Test func trainedAndUsed() throws {
    let changes: [String: JSONValue] = [
      "add_tokens": Self.tokens, "num_steps": 6, "eval_every": 6, "inactive_gradients": "mean",
    ]
    let one = try TrainingRun(changes)
    try one.train()
    let two = try TrainingRun(changes)
    try two.train(["--local-workers", "2"])
    #expect(try one.stateDigest() == two.stateDigest())
    var without = changes
    without["add_tokens"] = nil
    without["modules_to_save"] = ["embed_tokens", "lm_head"]
    let off = try TrainingRun(without)
    try off.train()
    #expect(try one.stateDigest() != off.stateDigest())

    let final = one.file("checkpoints/final")
    let row = try #require(try rows(one.file("metrics/eval_metrics.jsonl")).last)
    try Self.expectLoss(row["loss"], model: Fixtures.path("models/qwen2_f32"), adapter: final)
    // The form of PEFT lies in a folder of its own, the tokenizer beside it.
    try Self.expectLoss(row["loss"], model: Fixtures.path("models/qwen2_f32"), adapter: final + "/peft")
    let merged = one.scratch.path("merged")
    try Program.tool.run([
      "merge", "--model", Fixtures.path("models/qwen2_f32"), "--adapter", final, "--output", merged,
    ]).expectSuccess()
    #expect(try ModelFolder(path: merged).configuration.vocabularySize == 302)
    #expect(try Tokenizer(modelFolder: merged).encode("the boats", addSpecialTokens: false).count == 3)
    let loss = try Self.loss(model: merged, adapter: nil)
    #expect(abs(try #require(loss?.double) / (try #require(row["loss"]?.double)) - 1) < 1e-5)

    // Exported, it has the tokenizer with the tokens that were added, wherever it is taken from.
    for (number, source) in [final, final + "/peft"].enumerated() {
      let exported = one.scratch.path("exported-\(number)")
      try Program.tool.run([
        "export", "--format", "peft", "--model", Fixtures.path("models/qwen2_f32"), "--adapter", source,
        "--output",
        exported,
      ]).expectSuccess()
      #expect(
        try Data(contentsOf: URL(fileURLWithPath: exported + "/tokenizer.json"))
          == Data(contentsOf: URL(fileURLWithPath: final + "/tokenizer.json")))
      try Self.expectLoss(row["loss"], model: Fixtures.path("models/qwen2_f32"), adapter: exported)
    }

    // Training goes on from it, with its tokens.
    let further = try TrainingRun(["adapter_path": .string(final), "num_steps": 1])
    var config = further.config
    config["lora_rank"] = nil
    try further.scratch.write("config.json", JSONValue.object(config).text)
    let again = try further.train()
    #expect(again.output.contains("2 added"), "\(again.output)")
  }

  private static func loss(model: String, adapter: String?) throws -> JSONValue? {
    let result = try Program.tool.run(
      [
        "evaluate", "--model", model, "--data", Fixtures.path("data/valid.jsonl"), "--batch-size", "2",
        "--max-seq-length", "32", "--json",
      ] + (adapter.map { ["--adapter", $0] } ?? []))
    try result.expectSuccess()
    return try JSONValue(parsing: result.output)["loss"]
  }

  private static func expectLoss(_ expected: JSONValue?, model: String, adapter: String) throws {
    #expect(try loss(model: model, adapter: adapter) == expected, "\(adapter)")
  }

  @Test func whatCannotBeAdded() throws {
    for (changes, word) in [
      (["add_tokens": ["<|im_end|>"]], "is a token already, with the id 299"),
      (["add_tokens": ["the", "the"]], "twice"), (["add_tokens": [""]], "add_tokens"),
      (["add_tokens": ["the"], "trainable": "full"], "is for LoRA"),
      (
        ["add_tokens": ["the"], "adapter_path": .string(Fixtures.path("adapters/qwen2_f32"))],
        "is for a fresh adapter"
      ),
    ] as [([String: JSONValue], String)] {
      let run = try TrainingRun(changes)
      let wrong = try run.start().wait()
      #expect(wrong.status != 0 && wrong.errors.contains(word), "\(changes): \(wrong.everything)")
    }
  }
}
