import Foundation
import JSON
import LanguageModel
import Tensors
import Testing

/// Model folders that say one thing in several places, or contradict themselves. The reference is what transformers
/// 5.24 makes of the same files: Fixtures/make_cases.py writes Fixtures/cases.json.
@Suite struct CasesTests {
  private static func cases(_ kind: String) throws -> [JSONValue] {
    let json = try JSONValue(
      parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: fixture("cases.json")))))
    return try #require(json[kind]?.array)
  }

  /// Added and special tokens out of tokenizer_config.json, special_tokens_map.json and added_tokens.json: the ids of
  /// texts, and the token that ends one.
  @Test func tokensOfAllFiles() throws {
    let cases = try Self.cases("tokenizers")
    #expect(cases.count > 70)
    for item in cases {
      let model = try #require(item["tokenizer"]?.string)
      let name = "\(model): \(item["name"]?.string ?? "")"
      let folder = try TemporaryFolder()
      try folder.write(
        "tokenizer.json",
        Data(contentsOf: URL(fileURLWithPath: fixture("tokenizers/\(model)/tokenizer.json"))))
      for member in item["files"]?.object?.members ?? [] {
        try folder.write(member.key, member.value.bytes())
      }
      let tokenizer = try Tokenizer(modelFolder: folder.path)
      let texts = item["texts"]?.array?.compactMap(\.string) ?? []
      let ids = item["ids"]?.array?.map { $0.array?.compactMap(\.int) ?? [] } ?? []
      #expect(texts.count == ids.count && !texts.isEmpty)
      for (text, expected) in zip(texts, ids) {
        let found = try tokenizer.encode(text, addSpecialTokens: true).map(Int.init)
        #expect(found == expected, "\(name): \(text)")
        #expect(
          tokenizer.decode(found.map { Int32($0) }, skipSpecialTokens: false).isEmpty == expected.isEmpty)
      }
      if let end = item["eos"]?.int {
        #expect(tokenizer.eosTokenID.map(Int.init) == end, "\(name)")
        #expect(tokenizer.endTokenIDs.contains(Int32(end)))
      }
    }
  }

  /// SentencePiece-style tokenizers, and steps after ByteLevel: ids, and texts of ids, of the crate `tokenizers`.
  @Test func tokenizersThatAreNotByteLevel() throws {
    let cases = try Self.cases("pipelines")
    let shared = try #require(cases.first)
    let strings = shared["strings"]?.array?.compactMap(\.string) ?? []
    #expect(cases.count > 20 && strings.count > 25)
    for item in cases.dropFirst() {
      let name = try #require(item["name"]?.string)
      var parts = try #require(item["parts"]?.object)
      var model = try #require(item["model"]?.object)
      for member in shared["bases"]?[item["base"]?.string ?? ""]?.object?.members ?? [] {
        model[member.key] = member.value
      }
      parts["model"] = .object(model)
      let folder = try TemporaryFolder()
      try folder.write("tokenizer.json", JSONValue.object(parts).bytes())
      let tokenizer = try Tokenizer(modelFolder: folder.path)
      for (index, string) in strings.enumerated() {
        let expected = item["ids"]?.array?[index].array?.compactMap { $0.int.map(Int32.init) } ?? []
        let ids = try tokenizer.encode(string, addSpecialTokens: true)
        #expect(ids == expected, "\(name): \(string)")
        let text = item["texts"]?.array?[index].string ?? ""
        #expect(
          tokenizer.decode(expected, skipSpecialTokens: false).utf8.elementsEqual(text.utf8),
          "\(name): \(text)")
        let bare = item["bare"]?.array?[index].string ?? ""
        #expect(
          tokenizer.decode(expected, skipSpecialTokens: true).utf8.elementsEqual(bare.utf8),
          "\(name): \(bare)")
      }
    }
  }

  /// Named before any other part of them.
  @Test(arguments: ["Unigram", "WordPiece"]) func otherModelsAreNamed(type: String) throws {
    let folder = try TemporaryFolder()
    try folder.write(
      "tokenizer.json",
      #"{"normalizer": {"type": "Precompiled"}, "pre_tokenizer": {"type": "X"}, "model": {"type": "\#(type)"}}"#
    )
    expectError("tokenizer.json", "models with \(type) tokenizers are not supported") {
      _ = try Tokenizer(modelFolder: folder.path)
    }
  }

  /// A copy of a fixture model with keys of its config changed and copies of tensors, times a factor, added.
  private func folder(of item: JSONValue) throws -> TemporaryFolder {
    let model = try #require(item["model"]?.string)
    let folder = try TemporaryFolder()
    var config = try #require(
      try JSONValue(
        parsing: [UInt8](Data(contentsOf: URL(fileURLWithPath: fixture("models/\(model)/config.json"))))
      ).object)
    for member in item["config"]?.object?.members ?? [] {
      config[member.key] = member.value == "absent" ? nil : member.value
    }
    try folder.write("config.json", JSONValue.object(config).bytes())
    let file = try SafetensorsFile(path: fixture("models/\(model)/model.safetensors"))
    var tensors: [String: HostTensor] = [:]
    for name in file.names { tensors[name] = try file.tensor(name).hostTensor() }
    for member in item["tensors"]?.object?.members ?? [] {
      let source = try #require(tensors[member.value.array?.first?.string ?? ""])
      let factor = Float(try #require(member.value.array?.last?.double))
      tensors[member.key] = HostTensor(shape: source.shape, values: source.values.map { $0 * factor })
    }
    try SafetensorsWriter.write(tensors, to: folder.path + "/model.safetensors")
    return folder
  }

  /// Scaling of RoPE from every place, a head of its own, more in the checkpoint than in the config.
  @Test func logitsOfContradictingFolders() throws {
    let warned = [
      "linear beside parameters": "rope_theta", "a head of its own": "lm_head.weight",
      "fewer layers": "left out: model.layers.2.input_layernorm.weight, ",
      "biases without a key": "left out: model.layers.1.self_attn.q_proj.bias (1 tensors",
    ]
    for item in try Self.cases("logits") {
      let name = try #require(item["name"]?.string)
      let folder = try folder(of: item)
      let opened = try ModelFolder(path: folder.path)
      let lora = LoRASpecification(rank: 1, alpha: 1, targetModules: ["q_proj"], layers: [0])
      let model = try TrainableModel(folder: opened, trainable: .lora(lora), pool: try ThreadPool(threads: 1))
      let ids = item["ids"]?.array?.compactMap { $0.int.map(Int32.init) } ?? []
      let logits = try model.logits(ids)
      let last = logits.values.suffix(opened.configuration.vocabularySize)
      for (found, expected) in zip(last, item["logits"]?.array?.compactMap(\.double) ?? []) {
        #expect(abs(Double(found) - expected) < 1e-4, "\(name)")
      }
      let warning = warned[name]
      #expect(opened.warnings.count == (warning == nil ? 0 : 1), "\(name): \(opened.warnings)")
      if let warning {
        #expect(opened.warnings.first?.contains(warning) == true, "\(name): \(opened.warnings)")
      }
      // Token by token the same numbers, from the cache.
      var continued: [Int32] = []
      try model.generate(prompt: ids, maxTokens: 1, endTokens: []) {
        continued.append($0)
        return true
      }
      let best = last.enumerated().max { $0.element < $1.element }?.offset
      #expect(continued.first.map(Int.init) == best, "\(name)")
    }
  }

  /// Element `index` of the tensor `name`, as make_cases.py has it: exact in f32.
  private func value(_ name: String, _ index: Int) -> Float {
    let salt = name.utf8.reduce(0) { $0 + Int($1) } % 97
    return Float((index * 37 + salt * 11) % 101 - 50) / 512
  }

  /// Adapters that are no grid of projections and layers, from the real PEFT and mlx-lm, and what these compute with
  /// them. What we write of them reads back to the same, in both forms.
  @Test func adaptersThatAreSetsOfModules() throws {
    let cases = try Self.cases("adapters")
    #expect(cases.count > 20)
    for item in cases {
      let form = item["form"]?.string == "mlx" ? "mlx" : "peft"
      let name = "\(form): \(item["name"]?.string ?? "")"
      let base = try ModelFolder(path: fixture("models/" + (item["model"]?.string ?? "")))
      let folder = try TemporaryFolder()
      var tensors: [String: HostTensor] = [:]
      for tensor in item["tensors"]?.array ?? [] {
        let parts = try #require(tensor.array)
        let (stored, made) = (parts[0].string ?? "", parts[1].string ?? "")
        let shape = parts[2].array?.compactMap(\.int) ?? []
        tensors[stored] = HostTensor(
          shape: shape, values: (0..<shape.reduce(1, *)).map { value(made, $0) })
      }
      try SafetensorsWriter.write(
        tensors, to: folder.path + (form == "mlx" ? "/adapters.safetensors" : "/adapter_model.safetensors"))
      try folder.write("adapter_config.json", try #require(item["config"]).bytes())
      let adapter = try AdapterReader.read(folder: folder.path, model: base.configuration)
      try expectLogits(adapter, base, item, name)

      let written = folder.path + "/written"
      try AdapterWriter.write(adapter, base: "model", model: base.configuration, to: written)
      #expect(
        try AdapterReader.read(folder: written + "/peft", model: base.configuration) == adapter, "\(name)")
      try expectLogits(AdapterReader.read(folder: written, model: base.configuration), base, item, name)
      guard adapter.replaced.isEmpty else { continue }
      // The form of mlx-lm by itself, which has one rank and one scale.
      try FileManager.default.removeItem(atPath: written + "/peft")
      try expectLogits(AdapterReader.read(folder: written, model: base.configuration), base, item, name)
      #expect(
        try LoRASpecification(json: adapter.specification.json(), file: "x") == adapter.specification)
    }
  }

  private func expectLogits(
    _ adapter: AdapterWeights, _ base: ModelFolder, _ item: JSONValue, _ name: String
  ) throws {
    let model = try TrainableModel(
      folder: base, trainable: .lora(adapter.specification), pool: try ThreadPool(threads: 1),
      replaced: adapter.replaced)
    for (name, tensor) in adapter.tensors {
      try tensor.values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    let logits = try model.logits(item["ids"]?.array?.compactMap { $0.int.map(Int32.init) } ?? [])
    let last = logits.values.suffix(base.configuration.vocabularySize)
    let expected = item["logits"]?.array?.compactMap(\.double) ?? []
    #expect(expected.count == 48)
    let worst = zip(last, expected).map { abs(Double($0) - $1) }.max() ?? .infinity
    #expect(worst < 1e-4, "\(name): \(worst)")
  }

  /// A full checkpoint has a head of its own if its base has, and keeps what its config has no place for.
  @Test func fullCheckpointsLoseNothing() throws {
    for item in try Self.cases("logits") {
      let name = try #require(item["name"]?.string)
      guard ["a head of its own", "fewer layers", "biases without a key"].contains(name) else { continue }
      let folder = try folder(of: item)
      let base = try ModelFolder(path: folder.path)
      var tensors: [String: HostTensor] = [:]
      for tensor in base.configuration.tensors {
        tensors[tensor.name] = try base.weights.tensor(tensor.name).hostTensor()
      }
      try CheckpointModelWriter.write(tensors, base: base, to: folder.path + "/checkpoint")
      let copy = try ModelFolder(path: folder.path + "/checkpoint")
      #expect(copy.weights.names == base.weights.names, "\(name)")
      #expect(copy.leftOut == base.leftOut)
      #expect(copy.configuration.tiedEmbeddings == base.configuration.tiedEmbeddings)
      for tensor in base.weights.names {
        #expect(try copy.weights.tensor(tensor).hostTensor() == base.weights.tensor(tensor).hostTensor())
      }
    }
  }

  /// One matrix under the head's name alone, as some checkpoints of tied models have it.
  @Test func theEmbeddingMayBeStoredAsTheHead() throws {
    let folder = try TemporaryFolder()
    for name in ["config.json", "model.safetensors"] {
      try folder.write(name, Data(contentsOf: URL(fileURLWithPath: fixture("models/llama/" + name))))
    }
    let file = try SafetensorsFile(path: fixture("models/llama/model.safetensors"))
    var tensors: [String: HostTensor] = [:]
    for name in file.names { tensors[name] = try file.tensor(name).hostTensor() }
    tensors["lm_head.weight"] = tensors.removeValue(forKey: "model.embed_tokens.weight")
    try SafetensorsWriter.write(tensors, to: folder.path + "/model.safetensors")
    let opened = try ModelFolder(path: folder.path)
    #expect(opened.warnings == [] && opened.configuration.tiedEmbeddings)
    #expect(
      try opened.weights.tensor("model.embed_tokens.weight").hostTensor() == tensors["lm_head.weight"])
  }

  /// generate ends at what training appends, at what generation_config.json names, and at what config.json names.
  @Test func everyEndOfTextEndsAText() throws {
    let folder = try TemporaryFolder()
    try folder.write(
      "tokenizer.json", Data(contentsOf: URL(fileURLWithPath: fixture("tokenizers/qwen2/tokenizer.json"))))
    try folder.write("config.json", #"{"model_type": "qwen2", "eos_token_id": [3, 4]}"#)
    try folder.write("generation_config.json", #"{"eos_token_id": 5}"#)
    #expect(try Tokenizer(modelFolder: folder.path).eosTokenID == 5)
    #expect(try Tokenizer(modelFolder: folder.path).endTokenIDs == [3, 4, 5])
    try folder.write("tokenizer_config.json", #"{"eos_token": {"content": "<|im_end|>"}}"#)
    let tokenizer = try Tokenizer(modelFolder: folder.path)
    let end = try #require(tokenizer.tokenID("<|im_end|>"))
    #expect(tokenizer.eosTokenID == end && tokenizer.endTokenIDs == [3, 4, 5, end])
  }
}
