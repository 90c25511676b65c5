import JSON
import LanguageModel
import Testing

/// Shards as transformers writes them: `{"metadata":{"total_size":…},"weight_map":{tensor: file}}`.
@Suite struct WeightStoreTests {
  private func shards() throws -> TemporaryFolder {
    let folder = try TemporaryFolder()
    try SafetensorsWriter.write(
      ["b": HostTensor(shape: [1], values: [2])], to: folder.path + "/model-00001-of-00002.safetensors")
    try SafetensorsWriter.write(
      ["a": HostTensor(shape: [1], values: [1]), "c": HostTensor(shape: [2], values: [3, 4])],
      to: folder.path + "/model-00002-of-00002.safetensors")
    return folder
  }

  private func index(_ map: String) -> String { #"{"metadata":{"total_size":16},"weight_map":\#(map)}"# }

  @Test func readsShards() throws {
    let folder = try shards()
    try folder.write(
      "model.safetensors.index.json",
      index(
        #"{"b":"model-00001-of-00002.safetensors","c":"model-00002-of-00002.safetensors","a":"model-00002-of-00002.safetensors"}"#
      ))
    let store = try WeightStore(folder: folder.path)
    #expect(store.names == ["a", "b", "c"])
    #expect(store["b"]?.floats() == [2])
    #expect(store["c"]?.floats() == [3, 4])
    #expect(store["d"] == nil)
    let names = store.files.map { $0.dropFirst(folder.path.count + 1) }
    #expect(names == ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"])
  }

  @Test(arguments: [
    (#"{"x":"model-00001-of-00002.safetensors"}"#, "model-00001-of-00002.safetensors: tensor x: is missing"),
    (#"{"b":"model-00003-of-00002.safetensors"}"#, "model-00003-of-00002.safetensors: cannot be opened"),
    (#"{"b":"../model-00001-of-00002.safetensors"}"#, "line 1, weight_map.b"),
    (#"{"b":7}"#, "weight_map.b: must be a file name, not a number"),
    ("[]", "weight_map: must be an object"),
  ])
  func brokenIndexesAreRefused(map: String, reason: String) throws {
    let folder = try shards()
    try folder.write("model.safetensors.index.json", index(map))
    expectError(folder.path, reason) { _ = try WeightStore(folder: folder.path) }
  }

  @Test func aFolderWithoutWeightsIsRefused() throws {
    let folder = try TemporaryFolder()
    expectError(folder.path, "model.safetensors") { _ = try WeightStore(folder: folder.path) }
  }

  /// A model of one layer: whatever of it is missing or has another shape is named.
  @Test func everyTensorOfTheModelIsChecked() throws {
    let config = """
      {"model_type": "qwen3", "vocab_size": 5, "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
       "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 4, "tie_word_embeddings": false}
      """
    let folder = try TemporaryFolder()
    try folder.write("config.json", config)
    let shapes = try ModelConfiguration(json: JSONValue(parsing: config), file: "config.json").tensors
    // Qwen3ForCausalLM(config).state_dict() of transformers has these 14.
    #expect(shapes.count == 14)
    #expect(shapes.contains(.init(name: "model.layers.0.self_attn.q_proj.weight", shape: [8, 4])))
    #expect(shapes.contains(.init(name: "model.layers.0.self_attn.k_norm.weight", shape: [4])))
    let whole = Dictionary(uniqueKeysWithValues: shapes.map { ($0.name, HostTensor(zeros: $0.shape)) })
    try SafetensorsWriter.write(whole, to: folder.path + "/model.safetensors")
    let model = try ModelFolder(path: folder.path)
    #expect(model.weightFiles() == [folder.path + "/config.json", folder.path + "/model.safetensors"])

    for shape in shapes {
      var broken = whole
      broken[shape.name] = nil
      try SafetensorsWriter.write(broken, to: folder.path + "/model.safetensors")
      expectError("model.safetensors", "tensor \(shape.name): is missing") {
        _ = try ModelFolder(path: folder.path)
      }
      broken[shape.name] = HostTensor(zeros: shape.shape + [1])
      try SafetensorsWriter.write(broken, to: folder.path + "/model.safetensors")
      expectError("tensor \(shape.name): has the shape") { _ = try ModelFolder(path: folder.path) }
    }
  }
}
