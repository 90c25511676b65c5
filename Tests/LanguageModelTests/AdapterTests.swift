import Foundation
import Harness
import JSON
import LanguageModel
import Testing

/// The reference is what PEFT 0.21 and mlx-lm 0.32 write and read.
@Suite struct AdapterTests {
  static let names = ["qwen2_f32", "qwen2_bf16", "qwen3", "llama", "mistral"]

  private func model(_ name: String) throws -> ModelConfiguration {
    try ModelFolder.configuration(folder: fixture("models/" + name))
  }

  private func example(_ model: ModelConfiguration, layers: [Int]) -> AdapterWeights {
    var random = SplitMix64(seed: 7)
    let specification = LoRASpecification(
      rank: 3, alpha: 7.5, dropout: 0.1, targetModules: ["q_proj", "k_proj", "down_proj"], layers: layers)
    var tensors: [String: HostTensor] = [:]
    for tensor in specification.tensors(of: model) {
      let values = (0..<tensor.shape.reduce(1, *)).map { _ in Float(random.next(below: 2001) - 1000) / 1000 }
      tensors[tensor.name] = HostTensor(shape: tensor.shape, values: values)
    }
    return AdapterWeights(specification: specification, tensors: tensors)
  }

  /// Adapters that PEFT itself wrote (see Fixtures/README.md): every tensor, in our orientation.
  @Test(arguments: names) func readsWhatPEFTWrites(name: String) throws {
    let model = try model(name)
    let folder = fixture("adapters/" + name)
    let adapter = try AdapterReader.read(folder: folder, model: model)
    let config = try JSONValue(
      parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: folder + "/adapter_config.json"))))
    #expect(adapter.specification.rank == config["r"]?.int)
    #expect(adapter.specification.alpha == config["lora_alpha"]?.double)
    #expect(adapter.specification.useRSLoRA == (name == "qwen3"))
    #expect(adapter.specification.targetModules.count == 7)
    #expect(adapter.specification.layers == Array(0..<model.layerCount))

    let file = try SafetensorsFile(path: folder + "/adapter_model.safetensors")
    #expect(adapter.tensors.count == file.names.count)
    let b = try file.tensor("base_model.model.model.layers.1.mlp.down_proj.lora_B.weight").hostTensor()
    let ours = try #require(adapter.tensors["model.layers.1.mlp.down_proj.lora_b"])
    #expect(ours.shape == b.shape.reversed())
    for out in 0..<b.shape[0] {
      for r in 0..<b.shape[1] { #expect(ours.values[r * b.shape[0] + out] == b.values[out * b.shape[1] + r]) }
    }
    let a = try file.tensor("base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight").hostTensor()
    #expect(adapter.tensors["model.layers.0.self_attn.q_proj.lora_a"] == a)
  }

  /// Of an embedding that was resized PEFT 0.21 writes three tensors (`save_embedding_layers="auto"`): as it is, as it is
  /// once more by the name of its wrapper, and as it was. Two that should be the same and are not are an error.
  @Test func resizedEmbeddings() throws {
    let model = try model("qwen2_f32")
    let folder = fixture("adapters/qwen2_tokens")
    let adapter = try AdapterReader.read(folder: folder, model: model)
    #expect(adapter.specification.vocabularyRows == model.vocabularySize + 2)
    #expect(adapter.replaced["lm_head.weight"]?.shape == [model.vocabularySize + 2, model.hiddenSize])
    let file = try SafetensorsFile(path: folder + "/adapter_model.safetensors")
    var tensors = try Dictionary(
      uniqueKeysWithValues: file.names.map { ($0, try file.tensor($0).hostTensor()) })
    let copy = try TemporaryFolder()
    try FileManager.default.copyItem(
      atPath: folder + "/adapter_config.json", toPath: copy.path + "/adapter_config.json")
    for module in ["base_model.model.model.embed_tokens", "base_model.model.lm_head"] {
      let own = try #require(tensors[module + ".weight"])
      tensors[module + ".modules_to_save.weight"] = own
      tensors[module + ".original_module.weight"] = HostTensor(zeros: own.shape)
    }
    try SafetensorsWriter.write(tensors, to: copy.path + "/adapter_model.safetensors")
    #expect(try AdapterReader.read(folder: copy.path, model: model) == adapter)
    tensors["base_model.model.lm_head.modules_to_save.weight"]?.values[0] += 1
    try SafetensorsWriter.write(tensors, to: copy.path + "/adapter_model.safetensors")
    #expect(throws: ModelError.self) { try AdapterReader.read(folder: copy.path, model: model) }
  }

  /// Both forms read back to the same tensors and scale.
  @Test func writesBothForms() throws {
    let model = try model("qwen3")
    let folder = try TemporaryFolder()
    let adapter = example(model, layers: [3, 4])
    try AdapterWriter.write(adapter, base: "models/x", model: model, to: folder.path)
    let mlx = try AdapterReader.read(folder: folder.path, model: model)
    #expect(mlx == adapter)
    #expect(try AdapterReader.read(folder: folder.path + "/peft", model: model) == adapter)

    let file = try SafetensorsFile(path: folder.path + "/adapters.safetensors")
    #expect(file.names.count == 12)
    #expect(file.shape(of: "model.layers.3.mlp.down_proj.lora_a") == [model.intermediateSize, 3])
    let config = try JSONValue(parsing: folder.bytes("adapter_config.json"))
    #expect(config["num_layers"] == 2)
    #expect(
      config["lora_parameters"] == [
        "rank": 3, "scale": 2.5, "dropout": 0.1,
        "keys": .strings(["self_attn.q_proj", "self_attn.k_proj", "mlp.down_proj"]),
      ])
    let peft = try JSONValue(parsing: folder.bytes("peft/adapter_config.json"))
    #expect(
      peft == [
        "peft_type": "LORA", "task_type": "CAUSAL_LM", "base_model_name_or_path": "models/x",
        "inference_mode": true,
        "r": 3, "lora_alpha": 7.5, "lora_dropout": 0.1, "bias": "none",
        "target_modules": .strings(["down_proj", "k_proj", "q_proj"]),
        "layers_to_transform": .numbers([3, 4]),
      ])

    let again = try TemporaryFolder()
    try AdapterWriter.write(adapter, base: "models/x", model: model, to: again.path)
    for name in ["adapters.safetensors", "adapter_config.json", "peft/adapter_model.safetensors"] {
      #expect(try folder.bytes(name) == (try again.bytes(name)))
    }
  }

  /// mlx-lm adapts the last layers only, with one scale: what lies between is zero, and α/√r becomes its value.
  @Test func fillsWhatMLXCannotExpress() throws {
    let model = try model("qwen3")
    let folder = try TemporaryFolder()
    var adapter = example(model, layers: [1, 3])
    adapter.specification.useRSLoRA = true
    try AdapterWriter.write(adapter, base: "x", model: model, to: folder.path)
    let mlx = try AdapterReader.read(folder: folder.path, model: model)
    #expect(mlx.specification.layers == [1, 2, 3, 4])
    #expect(mlx.specification.scale == adapter.specification.scale)
    for (name, tensor) in mlx.tensors {
      #expect(tensor == adapter.tensors[name] ?? HostTensor(zeros: tensor.shape), "\(name)")
    }
    #expect(try AdapterReader.read(folder: folder.path + "/peft", model: model) == adapter)
  }

  @Test(arguments: [
    ("rank_pattern", #"{"(": 4}"#, "cannot be used"),
    ("rank_pattern", #"{"q_proj": 0}"#, "whole number from 1"),
    ("alpha_pattern", #"{"q_proj": "4"}"#, "above 0"),
    ("use_dora", "true", "only plain LoRA"),
    ("modules_to_save", "7", "a text or a list"),
    ("modules_to_save", #"["q_proj"]"#, "does not name model.layers.0.self_attn.q_proj"),
    ("exclude_modules", #"["layers.0.mlp.down_proj"]"#, "does not name model.layers.0.mlp.down_proj"),
    ("layers_to_transform", "[2]", "does not name model.layers.0."),
    ("trainable_token_indices", "[1]", "only plain LoRA"),
    ("fan_in_fan_out", "true", "only plain LoRA"),
    ("some_future_key", "7", "only plain LoRA"),
    ("bias", #""all""#, "must be \"none\""),
    ("peft_type", #""IA3""#, "must be \"LORA\""),
    ("init_lora_weights", #""pissa""#, "not supported"),
    ("target_modules", #"["q_proj", "lm_head"]"#, "does not name model.layers.0.self_attn.k_proj"),
    ("target_modules", #"["q_proj"]"#, "does not name model.layers.0.self_attn.k_proj"),
    ("target_modules", #""(""#, "cannot be used"),
    ("lora_alpha", "0", "above 0"),
    ("lora_dropout", "1.5", "below 1"),
    ("r", "5", "needs [5, "),
  ])
  func refusesWhatItCannotExpress(key: String, value: String, reason: String) throws {
    let model = try model("llama")
    let folder = try TemporaryFolder()
    try AdapterWriter.write(example(model, layers: [0]), base: "x", model: model, to: folder.path)
    var config = try #require(try JSONValue(parsing: folder.bytes("peft/adapter_config.json")).object)
    config[key] = try JSONValue(parsing: value)
    try folder.write("peft/adapter_config.json", JSONValue.object(config).bytes())
    let named =
      key == "r"
      ? "tensor"
      : ["modules_to_save", "exclude_modules", "layers_to_transform"].contains(key)
        && reason.hasPrefix("does")
        ? "target_modules" : key
    expectError(folder.path + "/peft/", named, reason) {
      _ = try AdapterReader.read(folder: folder.path + "/peft", model: model)
    }
  }

  /// What PEFT writes by default, null and off, is no obstacle.
  @Test func acceptsKeysThatAreOff() throws {
    let model = try model("llama")
    let folder = try TemporaryFolder()
    let adapter = example(model, layers: [0])
    try AdapterWriter.write(adapter, base: "x", model: model, to: folder.path)
    var config = try #require(try JSONValue(parsing: folder.bytes("peft/adapter_config.json")).object)
    let off =
      #"{"rank_pattern": {}, "use_dora": false, "modules_to_save": null, "qalora_group_size": 16, "megatron_core": "megatron.core", "init_lora_weights": true}"#
    for member in try #require(try JSONValue(parsing: off).object).members {
      config[member.key] = member.value
    }
    try folder.write("peft/adapter_config.json", JSONValue.object(config).bytes())
    #expect(try AdapterReader.read(folder: folder.path + "/peft", model: model) == adapter)
  }

  @Test func everyTensorIsChecked() throws {
    let model = try model("llama")
    let folder = try TemporaryFolder()
    try AdapterWriter.write(example(model, layers: [0, 1]), base: "x", model: model, to: folder.path)
    for (form, name) in [("", "adapters.safetensors"), ("/peft", "adapter_model.safetensors")] {
      let path = folder.path + form + "/" + name
      let file = try SafetensorsFile(path: path)
      var whole: [String: HostTensor] = [:]
      for name in file.names { whole[name] = try file.tensor(name).hostTensor() }
      func expectBroken(_ parts: String, _ change: (inout [String: HostTensor]) -> Void) throws {
        var broken = whole
        change(&broken)
        try SafetensorsWriter.write(broken, to: path)
        expectError(path, parts) { _ = try AdapterReader.read(folder: folder.path + form, model: model) }
      }
      for name in file.names {
        try expectBroken("tensor \(name): is missing") { $0[name] = nil }
        try expectBroken("tensor \(name): has the shape") { $0[name] = HostTensor(zeros: [2, 2]) }
        try expectBroken("tensor \(name): holds numbers that are not finite") { $0[name]?.values[1] = .nan }
      }
      try expectBroken("tensor model.layers.9.x: belongs to no") {
        $0["model.layers.9.x"] = HostTensor(zeros: [1])
      }
    }
  }

  @Test(arguments: [
    ("num_layers", "9", "has"), ("num_layers", "null", "is missing"),
    ("fine_tune_type", #""dora""#, "must be \"lora\""),
    ("lora_parameters", #"{"rank": 3, "dropout": 0}"#, "key \"lora_parameters.scale\": is missing"),
    (
      "lora_parameters", #"{"rank": 3, "scale": 2, "keys": ["mlp.gate"]}"#,
      "names no projection of this model"
    ),
  ])
  func refusesBrokenMLXConfigs(key: String, value: String, reason: String) throws {
    let model = try model("llama")
    let folder = try TemporaryFolder()
    try AdapterWriter.write(example(model, layers: [0]), base: "x", model: model, to: folder.path)
    var config = try #require(try JSONValue(parsing: folder.bytes("adapter_config.json")).object)
    config[key] = try JSONValue(parsing: value)
    try folder.write("adapter_config.json", JSONValue.object(config).bytes())
    expectError("adapter_config.json", key, reason) {
      _ = try AdapterReader.read(folder: folder.path, model: model)
    }
  }

  @Test func aFolderWithoutAnAdapterIsRefused() throws {
    let model = try model("llama")
    let folder = try TemporaryFolder()
    expectError(folder.path, "adapter_config.json") {
      _ = try AdapterReader.read(folder: folder.path, model: model)
    }
    try folder.write("adapter_config.json", "{}")
    expectError(folder.path, "neither adapters.safetensors") {
      _ = try AdapterReader.read(folder: folder.path, model: model)
    }
    expectError("/no/such", "no such folder") { _ = try AdapterReader.read(folder: "/no/such", model: model) }
  }
}
