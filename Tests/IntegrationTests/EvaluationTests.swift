import Foundation
import Harness
import JSON
import LanguageModel
import Testing

@testable import Service

/// What `nl-tool generate` and `evaluate` do with an adapter's scale, a base model and answers.
@Suite struct EvaluationTests {
  private let model = Fixtures.path("models/qwen2_f32")
  private let adapter = Fixtures.path("adapters/qwen2_f32")

  private func evaluate(_ model: String, _ data: String, _ flags: [String] = []) throws -> JSONValue {
    let result = try Program.tool.run(
      ["evaluate", "--model", model, "--data", data, "--max-seq-length", "64", "--json"] + flags
    ).expectSuccess()
    return try JSONValue(parsing: result.output)
  }

  /// Twice the scale is twice B, and no scale the base model, to the bit.
  @Test func scalesAreExact() throws {
    let scratch = try Scratch()
    try FileManager.default.copyItem(
      atPath: adapter + "/adapter_config.json", toPath: scratch.path("adapter_config.json"))
    let file = try SafetensorsFile(path: adapter + "/adapter_model.safetensors")
    var tensors: [String: HostTensor] = [:]
    for name in file.names {
      var tensor = try file.tensor(name).hostTensor()
      if name.contains("lora_B") { tensor.values = tensor.values.map { $0 * 2 } }
      tensors[name] = tensor
    }
    try SafetensorsWriter.write(tensors, to: scratch.path("adapter_model.safetensors"))
    func logits(_ adapter: String?, _ scale: Double) throws -> HostTensor {
      try LoadedModel(folder: model, adapter: adapter, adapterScale: scale, threads: 1).model.logits([
        5, 9, 200, 3,
      ])
    }
    let base = try logits(nil, 1)
    #expect(try logits(adapter, 0) == base)
    #expect(try logits(adapter, 1) != base)
    #expect(try logits(adapter, 2) == logits(scratch.folder, 1))
    #expect(try logits(scratch.folder, 0.5) == logits(adapter, 1))
  }

  @Test func generateTakesScalesAndStops() throws {
    func generate(_ flags: [String]) throws -> String {
      try Program.tool.run(
        ["generate", "--model", model, "--prompt", "The river", "--max-tokens", "20"] + flags
      ).expectSuccess().output
    }
    let base = try generate([])
    #expect(try generate(["--adapter", adapter, "--adapter-scale", "0"]) == base)
    #expect(try generate(["--adapter", adapter]) != base)
    let stop = String(base.dropFirst(14).prefix(2))
    let stopped = try generate(["--stop", "never", "--stop", stop])
    let added = base.dropFirst("The river".count)
    let place = try #require(added.range(of: stop)).lowerBound
    #expect(stopped == "The river" + added[..<place] + "\n")
    let drawn = ["--temperature", "1.2", "--top-k", "20", "--top-p", "0.9", "--repetition-penalty", "1.2"]
    #expect(try generate(drawn) == generate(drawn + ["--threads", "1"]))
    #expect(try generate(drawn) != generate(drawn + ["--seed", "43"]))
    for flags in [
      ["--top-k", "5"], ["--adapter-scale", "2"], ["--stop", ""], ["--temperature", "1", "--top-p", "0"],
    ] {
      let result = try Program.tool.run(["generate", "--model", model, "--prompt", "a"] + flags)
      #expect(
        result.status != 0 && result.errors.contains(flags.dropLast().last ?? ""), "\(result.everything)")
    }
  }

  /// The numbers themselves are held to PyTorch's in TokenScoresTests.
  @Test func measuresAgainstTheBase() throws {
    let data = Fixtures.path("data/valid.jsonl")
    let plain = try evaluate(model, data, ["--adapter", adapter])
    let compared = try evaluate(model, data, ["--adapter", adapter, "--kl", "--batch-size", "3"])
    #expect(plain["kl_to_base"] == nil && plain["exact_match"] == nil)
    let (a, b) = (try #require(plain["loss"]?.double), try #require(compared["loss"]?.double))
    #expect(abs(a - b) < 1e-9 * a)
    #expect(plain["accuracy"] == compared["accuracy"])
    let whole = try #require(compared["kl_to_base"]?.double)
    let half = try evaluate(model, data, ["--adapter", adapter, "--kl", "--adapter-scale", "0.001"])
    let small = try #require(half["kl_to_base"]?.double)
    #expect(whole > 0.01 && small < whole / 1000 && small > -1e-7)
    let alone = try Program.tool.run(["evaluate", "--model", model, "--data", data, "--kl"])
    #expect(alone.status != 0 && alone.errors.contains("--adapter"), "\(alone.everything)")
  }

  /// With a head of its own, and with rows for tokens that the base model lacks: the reference is the sum over the base's
  /// vocabulary, in Double, of logits that are written out. Data with an added token is refused by its name.
  @Test(arguments: ["qwen2_saved", "qwen2_tokens"]) func measuresWholeModulesAgainstTheBase(name: String)
    throws
  {
    let adapter = Fixtures.path("adapters/" + name)
    let text = "The river is wide."
    let scratch = try Scratch()
    let data = try scratch.write("data.jsonl", "{\"text\": \"\(text)\"}\n")
    let found = try evaluate(model, data, ["--adapter", adapter, "--kl"])

    let adapted = try LoadedModel(folder: model, adapter: adapter, threads: 1)
    let base = try LoadedModel(folder: model, adapter: nil, threads: 1)
    let ids = try base.tokenizer.trainingIDs(text: text, maxLength: 64)
    func logProbabilities(_ model: TrainableModel) throws -> [[Double]] {
      let logits = try model.logits(ids)
      let width = logits.shape[1]
      return (0..<logits.shape[0]).map { row in
        let values = logits.values[(row * width)..<((row + 1) * width)].map(Double.init)
        let largest = values.max() ?? 0
        let sum = values.reduce(0) { $0 + Foundation.exp($1 - largest) }
        return values.map { $0 - largest - Foundation.log(sum) }
      }
    }
    let (theirs, ours) = (try logProbabilities(base.model), try logProbabilities(adapted.model))
    #expect(ours[0].count == theirs[0].count + (name == "qwen2_tokens" ? 2 : 0))
    let places = ids.indices.dropLast()
    let divergences = places.map { place in
      zip(theirs[place], ours[place]).reduce(0) { $0 + Foundation.exp($1.0) * ($1.0 - $1.1) }
    }
    let expected = divergences.reduce(0, +) / Double(places.count)
    let kl = try #require(found["kl_to_base"]?.double)
    #expect(expected > 0.001 && abs(kl - expected) < 1e-5 * max(1, expected), "\(kl) for \(expected)")
  }

  /// What a model says to a prompt, in 40 tokens at most.
  private func tokens(_ prompt: String, ends: Set<Int32>) throws -> [Int32] {
    let loaded = try LoadedModel(folder: model, adapter: nil, threads: 1)
    var ids: [Int32] = []
    try loaded.model.generate(
      prompt: loaded.tokenizer.encode(prompt, addSpecialTokens: false), maxTokens: 40, endTokens: ends
    ) {
      ids.append($0)
      return true
    }
    return ids
  }

  private func turns(_ answer: String) -> JSONValue {
    [
      "messages": [
        ["role": "user", "content": "Who?"], ["role": "assistant", "content": .string(answer)],
      ]
    ]
  }

  /// Rows whose answers are the model's own, and such that are not; a token that the model comes to ends its answers.
  @Test func countsExactMatches() throws {
    let scratch = try templatedModel()
    let prompts = ["Who is there?", "<user>Who?\n<assistant>"]
    // Of two texts a later token that no text begins with. The third goes on for longer than its row.
    let texts = try (prompts + ["The river"]).map { try tokens($0, ends: []) }
    let ends = texts.prefix(2).compactMap { text in
      text.dropFirst(3).first { id in !texts.contains { $0.prefix(3).contains(id) } }
    }
    try #require(ends.count == 2)
    try scratch.write("generation_config.json", #"{"eos_token_id": \#(ends)}"#)
    let tokenizer = try Tokenizer(modelFolder: model)
    let answers = try (prompts + ["The river"]).map {
      tokenizer.decode(try tokens($0, ends: Set(ends)), skipSpecialTokens: true)
    }
    let rows: [JSONValue] = [
      ["prompt": .string(prompts[0]), "completion": .string(" " + answers[0] + "\n")],
      ["prompt": .string(prompts[0]), "completion": .string(answers[0] + " x")],
      // The model goes on and on.
      ["prompt": "The river", "completion": .string(String(answers[2].dropLast(2)))],
      ["text": "Nothing is asked."], turns(answers[1]), turns("x"),
    ]
    let data = try scratch.write("rows.jsonl", rows.map { $0.text + "\n" }.joined())
    let counts = try evaluate(scratch.folder, data, ["--exact-match"])["exact_match"]
    #expect(counts?["matched"] == 2 && counts?["rows"] == 5, "\(counts?.text ?? "")")
    #expect(counts?["share"] == 0.4 && counts?["rows_without_answer"] == 1)
  }

  @Test func exactMatchNeedsAnswers() throws {
    let result = try Program.tool.run([
      "evaluate", "--model", model, "--data", Fixtures.path("data/valid.jsonl"), "--max-seq-length", "64",
      "--exact-match",
    ])
    #expect(result.status != 0 && result.errors.contains("--exact-match"), "\(result.everything)")
  }

  @Test func whiteSpaceAroundAnAnswerCountsForNothing() {
    func isMatch(_ pieces: [String], _ expected: String) -> Bool {
      var text = AnswerText(expected: expected)
      for piece in pieces { text.append(piece) }
      return text.isMatch
    }
    #expect(isMatch([" ", "\n4", "2 ", "\n"], "42"))
    #expect(isMatch([], " "))
    #expect(!isMatch(["4 2"], "42"))
    #expect(!isMatch(["42."], "42"))
    var text = AnswerText(expected: "the sea ")
    for piece in [" the", " ", "sea"] {
      text.append(piece)
      #expect(text.isOpen)
    }
    text.append("\n")
    #expect(text.isOpen && text.isMatch)
    text.append("s")
    #expect(!text.isOpen)
  }
}
