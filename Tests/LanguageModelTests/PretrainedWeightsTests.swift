import Foundation
import Harness
import LanguageModel
import Testing

/// Weights under other names: what is loaded has the bytes that it had, and everything else is told.
@Suite struct PretrainedWeightsTests {
  private let base = Fixtures.path("models/qwen2_f32")

  /// The weights of the base, each number plus one, under names that a function changes.
  private func weights(_ scratch: Scratch, _ rename: (String) -> String?) throws -> String {
    let store = try ModelFolder(path: base).weights
    let items = try store.names.compactMap { name -> SafetensorsItem? in
      guard let renamed = rename(name) else { return nil }
      let tensor = try store.tensor(name)
      let values = tensor.floats().map { $0 + 1 }
      return SafetensorsItem(name: renamed, tensor: HostTensor(shape: tensor.shape, values: values))
    }
    let path = scratch.path("weights.safetensors")
    try SafetensorsWriter.write(items, to: path)
    return path
  }

  @Test func prefixesLeadToTheModelsNames() throws {
    let scratch = try Scratch()
    let path = try weights(scratch) { "encoder." + ($0.hasPrefix("model.") ? $0.dropFirst(6) + "" : $0) }
    let loaded = try loadPretrainedWeights(
      base: base, from: path, prefixes: [("encoder.", "model."), ("encoder.lm_head", "lm_head")])
    #expect(loaded.report.isWhole)
    #expect(try loaded.report.matched == ModelFolder(path: base).weights.names)
    try loaded.write(to: scratch.path("out"))
    let (old, new) = (try ModelFolder(path: base), try ModelFolder(path: scratch.path("out")))
    for name in old.configuration.tensors.map(\.name) {
      #expect(
        try new.weights.tensor(name).floats() == old.weights.tensor(name).floats().map { $0 + 1 }, "\(name)")
    }
    #expect(
      try new.tokenizer().encode("And God said", addSpecialTokens: true)
        == old.tokenizer().encode("And God said", addSpecialTokens: true))
    #expect(throws: ModelError.self) { try loaded.write(to: scratch.path("out")) }
  }

  @Test func whatDoesNotFitIsTold() throws {
    let scratch = try Scratch()
    let path = try weights(scratch) { name in
      if name.contains("layers.0.mlp") { return nil }
      if name == "model.layers.1.self_attn.q_proj.weight" { return "model.norm.weight" }
      return name == "model.norm.weight" ? "other.weight" : name
    }
    let error = #expect(throws: ModelError.self) { try loadPretrainedWeights(base: base, from: path) }
    let text = error.map { "\($0)" } ?? ""
    for word in [
      "model.layers.0.mlp.up_proj.weight", "other.weight", "of another shape", "weights.safetensors",
    ] {
      #expect(text.contains(word), "\(text)")
    }
    let lenient = try loadPretrainedWeights(base: base, from: path, isStrict: false).report
    #expect(lenient.unexpected == ["other.weight"] && lenient.mismatched.map(\.name) == ["model.norm.weight"])
    #expect(
      lenient.missing == [
        "model.layers.0.mlp.down_proj.weight", "model.layers.0.mlp.gate_proj.weight",
        "model.layers.0.mlp.up_proj.weight", "model.layers.1.self_attn.q_proj.weight",
      ])
    let none = #expect(throws: ModelError.self) {
      try loadPretrainedWeights(base: base, from: path, prefixes: [("", "x.")], isStrict: false)
    }
    #expect(none.map { "\($0)" }?.contains("give prefixes") == true)
    let twice = #expect(throws: ModelError.self) {
      try loadPretrainedWeights(
        base: base, from: path, prefixes: [("model.layers.1.", "model.layers.2.")], isStrict: false)
    }
    #expect(twice.map { "\($0)" }?.contains("comes from two tensors") == true)
  }
}
