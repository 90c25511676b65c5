import Files
import Foundation
import JSON
import Tensors
import Testing

@testable import LanguageModel

/// Merged models against what PyTorch computes with base and adapter.
@Suite struct MergeTests {
  private func merged(
    _ model: String, _ adapter: String, _ scratch: TemporaryFolder,
    _ change: (inout ModelMerger) -> Void = { _ in }
  ) throws -> ModelFolder {
    var merger = try ModelMerger(model: fixture("models/\(model)"), adapter: fixture("adapters/\(adapter)"))
    merger.dtype = .f32
    change(&merger)
    let output = scratch.path + "/merged"
    _ = try merger.run(output: output) { _, _ in }
    return try ModelFolder(path: output)
  }

  private func logits(_ folder: ModelFolder, _ row: [Int32]) throws -> HostTensor {
    let neutral = LoRASpecification(rank: 1, alpha: 1, targetModules: ["q_proj"], layers: [0])
    return try TrainableModel(folder: folder, trainable: .lora(neutral), pool: ThreadPool(threads: 1)).logits(
      row)
  }

  @Test(arguments: GoldenModel.names) func f32GivesTheLogitsOfPEFT(name: String) throws {
    let golden = try GoldenModel(name)
    let scratch = try TemporaryFolder()
    let folder = try merged(name, name, scratch)
    #expect(folder.configuration.dtype == "float32")
    for (i, row) in golden.rows.enumerated() {
      let expected = try golden.tensor("logits.\(i)")
      #expect(largestDifference(try logits(folder, row).values, expected.values) < 2e-5)
    }
  }

  /// Each weight is the nearest bf16 of the f32 one.
  @Test func bf16IsTheNearest() throws {
    let (scratch, other) = (try TemporaryFolder(), try TemporaryFolder())
    let exact = try merged("llama", "llama", scratch)
    let rounded = try merged("llama", "llama", other) { $0.dtype = .bf16 }
    #expect(rounded.configuration.dtype == "bfloat16")
    for name in exact.weights.names {
      let pairs = zip(try exact.weights.tensor(name).floats(), try rounded.weights.tensor(name).floats())
      #expect(pairs.allSatisfy { abs($0 - $1) <= abs($0) / 256 }, "\(name)")
    }
  }

  /// An adapter that is no grid, and one that replaces embedding, head and norm of a model whose head is its embedding:
  /// the same logits as with the adapter beside the base.
  @Test(arguments: ["qwen2_irregular", "qwen2_saved"]) func otherAdapters(name: String) throws {
    let golden = try GoldenModel("qwen2_f32")
    let scratch = try TemporaryFolder()
    let adapter = try AdapterReader.read(
      folder: fixture("adapters/\(name)"), model: golden.folder.configuration)
    let model = try TrainableModel(
      folder: golden.folder, trainable: .lora(adapter.specification), pool: ThreadPool(threads: 1),
      replaced: adapter.replaced)
    for (name, tensor) in adapter.tensors {
      try tensor.values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    let folder = try merged("qwen2_f32", name, scratch)
    #expect(
      folder.configuration.tiedEmbeddings
        == (adapter.replaced.isEmpty && golden.folder.configuration.tiedEmbeddings))
    for row in golden.rows {
      let expected = try model.logits(row)
      #expect(largestDifference(try logits(folder, row).values, expected.values) < 1e-5)
      #expect(largestDifference(try logits(golden.folder, row).values, expected.values) > 1e-3)
    }
  }

  /// Shards and one file hold the same; the files beside the weights are the base's, config.json but for what is changed.
  @Test func shardsAndFilesBeside() throws {
    let (scratch, other) = (try TemporaryFolder(), try TemporaryFolder())
    let single = try merged("qwen3", "qwen3", scratch)
    let sharded = try merged("qwen3", "qwen3", other) { $0.shardSize = 30000 }
    #expect(single.weights.files.count == 1)
    #expect(sharded.weights.files.count > 2)
    for name in single.weights.names {
      #expect(try single.weights.tensor(name).floats() == sharded.weights.tensor(name).floats(), "\(name)")
    }
    var config = try #require(GoldenModel.json(single.path + "/config.json").object)
    var base = try #require(GoldenModel.json(fixture("models/qwen3/config.json")).object)
    for key in ["dtype", "torch_dtype", "tie_word_embeddings"] { (config[key], base[key]) = (nil, nil) }
    #expect(JSONValue.object(config) == JSONValue.object(base))
    let tokenizer = try AtomicFile.read(fixture("models/qwen3/tokenizer.json"))
    #expect(try AtomicFile.read(single.path + "/tokenizer.json") == tokenizer)
  }

  /// Tokenizer files of the adapter's folder come before the base's.
  @Test func theAdaptersTokenizerCounts() throws {
    let scratch = try TemporaryFolder()
    for name in ["adapter_config.json", "adapter_model.safetensors"] {
      try scratch.write("adapter/" + name, AtomicFile.read(fixture("adapters/llama/\(name)")))
    }
    let text = try AtomicFile.read(fixture("models/llama/tokenizer.json")) + [0x0A]
    try scratch.write("adapter/tokenizer.json", text)
    let merger = try ModelMerger(model: fixture("models/llama"), adapter: scratch.path + "/adapter")
    _ = try merger.run(output: scratch.path + "/merged") { _, _ in }
    #expect(try scratch.bytes("merged/tokenizer.json") == text)
  }

  /// One form alone, read back; the form of mlx-lm refuses what it cannot hold.
  @Test func oneFormAlone() throws {
    let model = try ModelFolder.configuration(folder: fixture("models/qwen2_f32"))
    for name in ["qwen2_f32", "qwen2_irregular", "qwen2_saved"] {
      let adapter = try AdapterReader.read(folder: fixture("adapters/\(name)"), model: model)
      let scratch = try TemporaryFolder()
      try AdapterWriter.write(adapter, as: .peft, base: "base", model: model, to: scratch.path)
      let again = try AdapterReader.read(folder: scratch.path, model: model)
      #expect(again.tensors == adapter.tensors)
      #expect(again.replaced == adapter.replaced)
      let other = try TemporaryFolder()
      if adapter.replaced.isEmpty {
        try AdapterWriter.write(adapter, as: .mlx, base: "base", model: model, to: other.path)
        #expect(FileSystem.kind(other.path + "/peft") == nil)
        _ = try AdapterReader.read(folder: other.path, model: model)
      } else {
        expectError("modules_to_save", "nl-tool merge") {
          try AdapterWriter.write(adapter, as: .mlx, base: "base", model: model, to: other.path)
        }
      }
    }
  }
}
