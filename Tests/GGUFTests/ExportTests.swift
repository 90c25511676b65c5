import Foundation
import LanguageModel
import Testing

@testable import GGUF

/// GGUF files that we write, read again. cluster/testbed/gguf.sh has gguf-py read them.
@Suite struct ExportTests {
  private static let fixtures =
    URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent().path
    + "/LanguageModelTests/Fixtures/"

  /// s·BA of every module, computed from the file as llama.cpp does it: α over the rank of the pair, rows of Q and K of
  /// llama turned back.
  @Test(arguments: [
    ("llama", "llama"), ("mistral", "mistral"), ("qwen3", "qwen3"), ("qwen2_f32", "qwen2_irregular"),
  ])
  func adaptersComputeTheSame(model: String, adapter: String) throws {
    let scratch = try TemporaryFolder()
    let configuration = try ModelFolder.configuration(folder: Self.fixtures + "models/" + model)
    let weights = try AdapterReader.read(folder: Self.fixtures + "adapters/" + adapter, model: configuration)
    try GGUFAdapterWriter.write(weights, name: "test", model: configuration, to: scratch.path + "/a.gguf")
    let file = try GGUFFile(path: scratch.path + "/a.gguf")
    #expect(try file.metadata.string("general.type") == "adapter")
    let architecture = configuration.family == .mistral ? "llama" : configuration.modelType
    #expect(try file.metadata.string("general.architecture") == architecture)
    let alpha = Float(try #require(try file.metadata.number("adapter.lora.alpha")))
    let modules = weights.specification.modules
    #expect(file.tensors.count == 2 * modules.count)
    for module in modules {
      let name = try #require(GGUFNames.module(module.path)) + ".weight.lora_"
      let (a, b) = (try #require(file.tensor(name + "a")), try #require(file.tensor(name + "b")))
      let (rank, inputs, outputs) = (a.shape[0], a.shape[1], b.shape[0])
      #expect(b.shape[1] == rank)
      let (fileA, fileB) = (file.floats(of: a), file.floats(of: b))
      let ownA = try #require(weights.tensors[module.path + ".lora_a"])
      let ownB = try #require(weights.tensors[module.path + ".lora_b"])
      #expect(fileA == ownA.values && ownA.shape == [rank, inputs])
      let isTurned = architecture == "llama" && (module.projection == .query || module.projection == .key)
      let half = configuration.headDimension / 2
      for row in 0..<outputs {
        let (head, inside) = (row / (2 * half), row % (2 * half))
        let place = isTurned ? head * 2 * half + inside % half * 2 + inside / half : row
        for r in 0..<rank {
          let found = alpha / Float(rank) * fileB[place * rank + r]
          let expected = weights.specification.scale(of: module) * ownB.values[r * outputs + row]
          #expect(abs(found - expected) <= abs(expected) * 1e-6, "\(module.path)")
        }
      }
    }
  }

  @Test func wholeTensorsAreRefused() throws {
    let scratch = try TemporaryFolder()
    let configuration = try ModelFolder.configuration(folder: Self.fixtures + "models/qwen2_f32")
    let weights = try AdapterReader.read(folder: Self.fixtures + "adapters/qwen2_saved", model: configuration)
    expectError("modules_to_save", "nl-tool merge") {
      try GGUFAdapterWriter.write(weights, name: "", model: configuration, to: scratch.path + "/a.gguf")
    }
    #expect(try FileManager.default.contentsOfDirectory(atPath: scratch.path).isEmpty)
  }

  /// A model as a GGUF file and back: the same configuration, weights and ids.
  @Test(arguments: ["llama", "mistral", "qwen2_f32", "qwen2_bf16", "qwen3"]) func modelsComeBack(name: String)
    throws
  {
    let scratch = try TemporaryFolder()
    let model = try ModelFolder(path: Self.fixtures + "models/" + name)
    var writer = try GGUFModelWriter(model: model)
    writer.type = .f32
    try writer.write(to: scratch.path + "/m.gguf") { _, _ in }
    var importer = GGUFImporter(file: scratch.path + "/m.gguf")
    importer.rules = .original
    _ = try importer.run(output: scratch.path + "/back") { _, _ in }
    let back = try ModelFolder(path: scratch.path + "/back")
    for tensor in model.configuration.tensors {
      #expect(
        try back.weights.tensor(tensor.name).floats() == model.weights.tensor(tensor.name).floats(),
        "\(tensor.name)")
    }
    #expect(back.configuration.ropeScaling == model.configuration.ropeScaling)
    #expect(back.configuration.ropeTheta == model.configuration.ropeTheta)
    #expect(Float(back.configuration.rmsNormEpsilon) == Float(model.configuration.rmsNormEpsilon))
    #expect(back.configuration.tensors == model.configuration.tensors)
    let (own, other) = (try model.tokenizer(), try back.tokenizer())
    #expect(own.eosTokenID == other.eosTokenID)
    for text in ["", "The river froze.", "  12 345\n\n", "caf\u{E9} \u{1F600} don't"] {
      for special in [true, false] {
        #expect(
          try own.encode(text, addSpecialTokens: special) == other.encode(text, addSpecialTokens: special))
      }
    }
  }

  /// Halves: those that decode exactly come back, and what lies between goes to the nearest, ties to even.
  @Test func halvesAreTheNearest() {
    for bits in UInt16.min...UInt16.max where bits & 0x7C00 != 0x7C00 {
      let value = BlockDecoder.half([UInt8(truncatingIfNeeded: bits), UInt8(bits >> 8)])
      #expect(value.halfBits == bits)
      let magnitude = bits & 0x7FFF
      guard magnitude < 0x7BFF else { continue }
      let next = BlockDecoder.half([UInt8(truncatingIfNeeded: bits + 1), UInt8((bits + 1) >> 8)])
      let middle = (value + next) / 2
      #expect(middle.halfBits == (bits & 1 == 0 ? bits : bits + 1))
      #expect((middle > 0 ? middle.nextUp : middle.nextDown).halfBits == bits + 1)
    }
    #expect(Float(65520).halfBits == 0x7C00 && Float(65519).halfBits == 0x7BFF)
    #expect(Float.infinity.halfBits == 0x7C00 && (-Float.infinity).halfBits == 0xFC00)
  }
}
