import Foundation
import JSON
import LanguageModel
import Testing

/// Making, inspecting and writing model folders.
@Suite struct ModelFolderTests {
  private let config = """
    {"model_type": "qwen2", "vocab_size": 1300, "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2,
     "num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": true, "initializer_range": 0.05}
    """

  /// Weights are those of a normal distribution (mean, deviation, and the share within one deviation, .6827), and a
  /// function of the seed.
  @Test func initializedWeights() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("config.json", config)
    try ModelInitializer.create(config: path, output: folder.path + "/a", seed: 1)
    try ModelInitializer.create(config: path, output: folder.path + "/b", seed: 1)
    try ModelInitializer.create(config: path, output: folder.path + "/c", seed: 2)
    #expect(try folder.bytes("a/model.safetensors") == folder.bytes("b/model.safetensors"))
    #expect(try folder.bytes("a/model.safetensors") != folder.bytes("c/model.safetensors"))

    let model = try ModelFolder(path: folder.path + "/a")
    #expect(model.configuration.dtype == "float32" && model.configuration.tiedEmbeddings)
    try ModelInitializer.create(config: path, output: folder.path + "/half", seed: 1, dtype: "f16")
    let half = try ModelFolder(path: folder.path + "/half")
    #expect(half.configuration.dtype == "float16")
    for name in model.weights.names {
      let rounded = try model.weights.tensor(name).floats().map { Float(Float16($0)) }
      let stored = try half.weights.tensor(name)
      #expect(stored.dtype == .f16 && stored.floats() == rounded, "\(name)")
    }
    let values = try model.weights.tensor("model.embed_tokens.weight").floats().map(Double.init)
    let mean = values.reduce(0, +) / Double(values.count)
    let deviation = (values.reduce(0) { $0 + $1 * $1 } / Double(values.count) - mean * mean).squareRoot()
    let within = Double(values.filter { abs($0) < 0.05 }.count) / Double(values.count)
    // Four standard errors of 83,200 draws.
    #expect(abs(mean) < 4 * 0.05 / 288.4)
    #expect(abs(deviation - 0.05) < 4 * 0.05 / (2 * 83200.0).squareRoot())
    #expect(abs(within - 0.6827) < 4 * 0.465 / 288.4)
    #expect(try model.weights.tensor("model.layers.1.input_layernorm.weight").floats().allSatisfy { $0 == 1 })
    #expect(try model.weights.tensor("model.layers.1.self_attn.k_proj.bias").floats().allSatisfy { $0 == 0 })
    let first = try model.weights.tensor("model.layers.0.mlp.up_proj.weight").floats()
    #expect(try model.weights.tensor("model.layers.1.mlp.up_proj.weight").floats() != first)
  }

  @Test func initializedFolders() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("config.json", config)
    let tokenizer = fixture("tokenizers/qwen2")
    let output = folder.path + "/new/model"
    try ModelInitializer.create(config: path, output: output, tokenizer: tokenizer, seed: 3, dtype: "bf16")
    let model = try ModelFolder(path: output)
    #expect(try model.weights.tensor("model.norm.weight").dtype == .bf16)
    #expect(try model.tokenizer().encode("the", addSpecialTokens: false).count > 0)
    expectError(output, "already there") { try ModelInitializer.create(config: path, output: output) }
    expectError("dtype", "\"f8\"") {
      try ModelInitializer.create(config: path, output: output + "2", dtype: "f8")
    }
    let small = try folder.write("small.json", config.replacingOccurrences(of: "1300", with: "1000"))
    expectError(small, "vocab_size", "1209 tokens") {
      try ModelInitializer.create(config: small, output: output + "2", tokenizer: tokenizer)
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path + "/new") == ["model"])
  }

  @Test func checkpointOfAWholeModel() throws {
    let folder = try TemporaryFolder()
    for name in ["llama", "qwen3"] {
      let base = try ModelFolder(path: fixture("models/" + name))
      var tensors: [String: HostTensor] = [:]
      for tensor in base.configuration.tensors {
        tensors[tensor.name] = try base.weights.tensor(tensor.name).hostTensor()
      }
      let output = folder.path + "/" + name
      try CheckpointModelWriter.write(tensors, base: base, to: output)
      let copy = try ModelFolder(path: output)
      var configuration = base.configuration
      configuration.dtype = "float32"
      #expect(copy.configuration == configuration)
      #expect(copy.weights.names.count == tensors.count)
      for (name, tensor) in tensors { #expect(try copy.weights.tensor(name).hostTensor() == tensor) }
      #expect(try copy.tokenizer().eosTokenID == base.tokenizer().eosTokenID)

      try CheckpointModelWriter.write(tensors, base: base, as: .bf16, to: output + "-bf16")
      #expect(try ModelFolder(path: output + "-bf16").configuration.dtype == "bfloat16")

      tensors["x"] = HostTensor(zeros: [1])
      expectError("tensor x: is not") {
        try CheckpointModelWriter.write(tensors, base: base, to: output + "2")
      }
      tensors["model.norm.weight"] = nil
      expectError("tensor model.norm.weight: is missing") {
        try CheckpointModelWriter.write(tensors, base: base, to: output + "2")
      }
      #expect(!FileManager.default.fileExists(atPath: output + "2"))
    }
  }

  /// Qwen2.5-0.5B's shape without its weights would be too large a fixture; the counts of a small model by hand:
  /// embedding 1300·64, per layer 2·64 (norms) + 64·64 + 64 (q) + 2·(32·64 + 32) (k, v) + 64·64 (o) + 3·64·128,
  /// and the last norm. LoRA of rank 8: 8·(in + out) for each projection.
  @Test func inspection() throws {
    let folder = try TemporaryFolder()
    let path = try folder.write("config.json", config)
    try ModelInitializer.create(
      config: path, output: folder.path + "/m", tokenizer: fixture("tokenizers/qwen2"))
    let report = try ModelInspection.report(folder: folder.path + "/m")
    let layer = 2 * 64 + 64 * 64 + 64 + 2 * (32 * 64 + 32) + 64 * 64 + 3 * 64 * 128
    #expect(report.json["parameters"]?.int == 1300 * 64 + 2 * layer + 64)
    #expect(report.json["bytes"]?.int == 4 * (1300 * 64 + 2 * layer + 64))
    #expect(report.json["dtypes"] == .strings(["float32"]))
    let lora = 2 * 8 * (2 * (64 + 64) + 2 * (64 + 32) + 3 * (64 + 128))
    #expect(report.json["lora_parameters_rank_8"]?.int == lora)
    #expect(report.json["model_type"] == "qwen2")
    #expect(report.json["eos_token_id"]?.int == 1200)
    #expect(report.text.contains("parameters         157,504\n"))
    #expect(report.text.contains("byte-level BPE, 1209 ids"))

    try folder.write("m/tokenizer.json", "{}")
    #expect(try ModelInspection.report(folder: folder.path + "/m").text.contains("cannot be used: "))
  }

  @Test func everyFixtureModelIsRead() throws {
    for name in AdapterTests.names {
      let report = try ModelInspection.report(folder: fixture("models/" + name))
      #expect(report.json["unused_tensors"] == 0)
    }
    expectError("/no/such", "no such folder") { _ = try ModelFolder(path: "/no/such") }
  }
}
