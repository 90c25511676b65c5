import Foundation
import Tensors
import Testing

@testable import LanguageModel

/// What must hold for every model: bits that depend on nothing but weights, parameters and batch.
@Suite struct TrainableModelTests {
  @Test func parametersAreSortedAndDescribed() throws {
    let model = try GoldenModel("qwen3").model()
    #expect(model.parameters.count == 2 * 7 * 5)
    #expect(model.parameters.map(\.name) == model.parameters.map(\.name).sorted(by: utf8Ascending))
    let first = try #require(model.parameters.first)
    #expect(first.name == "model.layers.0.mlp.down_proj.lora_a")
    #expect(first.module == "model.layers.0.mlp.down_proj")
    #expect(first.layer == 0)
    #expect(first.shape == [4, 40])
    let full = try GoldenModel("llama").fullModel().parameters
    #expect(
      try full.map(\.name)
        == GoldenModel("llama").folder.configuration.tensors.map(\.name).sorted(by: utf8Ascending))
    #expect(
      full.filter { $0.layer == nil }.map(\.name) == ["model.embed_tokens.weight", "model.norm.weight"])
  }

  /// Whatever is asked for together, a parameter's gradient has the same bits, and so has the loss. In llama the
  /// embedding is the head, too.
  @Test(arguments: [(name: "qwen2_f32", full: false), ("qwen2_f32", true), ("llama", true)])
  func gradientsDoNotDependOnWhatElseIsAsked(_ which: (name: String, full: Bool)) throws {
    let golden = try GoldenModel(which.name)
    let model = try which.full ? golden.fullModel() : golden.model(dropout: 0.1)
    let key = DropoutKey(seed: 3, step: 5, microBatch: 1)
    let names = model.parameters.map(\.name)
    let all = try model.gradients(golden.batch, of: Set(names), dropout: key)
    var subsets = names.map { [$0] }
    subsets += (0..<4).map { layer in model.parameters.filter { $0.layer == layer }.map(\.name) }
    subsets.append(names.filter { $0.hasSuffix("lora_a") || $0.hasSuffix("bias") })
    subsets.append([])
    for subset in subsets {
      let some = try model.gradients(golden.batch, of: Set(subset), dropout: key)
      #expect(some.lossSum == all.lossSum)
      #expect(Set(some.gradients.keys) == Set(subset))
      for (name, gradient) in some.gradients {
        let same = gradient == all.gradients[name]
        #expect(same, "\(name), asked for with \(subset.count) in all")
      }
    }
  }

  @Test func theNumberOfThreadsChangesNoBit() throws {
    let golden = try GoldenModel("mistral")
    let names = Set(try golden.model().parameters.map(\.name))
    let one = try golden.model(threads: 1).gradients(golden.batch, of: names, dropout: nil)
    let three = try golden.model(threads: 3).gradients(golden.batch, of: names, dropout: nil)
    #expect(one.lossSum == three.lossSum && one.gradients == three.gradients)
  }

  /// Layers that are computed twice give the same gradients, whichever are asked for, and need less memory.
  @Test(arguments: ["qwen2_bf16", "qwen3", "mistral"]) func recomputedLayersChangeNoBit(name: String) throws {
    let golden = try GoldenModel(name)
    let long = MicroBatch(rows: [Array(repeating: 7, count: 100), Array(repeating: 9, count: 60)])
    let key = DropoutKey(seed: 3, step: 2, microBatch: 1)
    let keeping = try golden.model(dropout: 0.3)
    let recomputing = try golden.model(dropout: 0.3, recomputesLayers: true)
    let names = keeping.parameters.map(\.name)
    for wanted in [Set(names), Set(names.suffix(1)), Set(names.prefix(1)), []] {
      for batch in [golden.batch, long] {
        let kept = try keeping.gradients(batch, of: wanted, dropout: key)
        let again = try recomputing.gradients(batch, of: wanted, dropout: key)
        #expect(kept.lossSum == again.lossSum && kept.gradients == again.gradients)
      }
    }
    #expect(recomputing.peakMemory < keeping.peakMemory)
    print("\(name): at most \(keeping.peakMemory) bytes, with layers recomputed \(recomputing.peakMemory)")
  }

  @Test(arguments: [false, true]) func evaluationGivesTheLossOfTheGradients(full: Bool) throws {
    let golden = try GoldenModel("qwen2_bf16")
    let model = try full ? golden.fullModel() : golden.model(dropout: 0.5)
    let loss = try model.gradients(golden.batch, of: Set(model.parameters.map(\.name)), dropout: nil).lossSum
    #expect(try model.evaluate(golden.batch) == loss)
    #expect(try model.gradients(golden.batch, of: [], dropout: nil).lossSum == loss)
  }

  /// A row's loss does not depend on the rows that it is packed with.
  @Test func lossesOfRowsAddUp() throws {
    let golden = try GoldenModel("mistral")
    let model = try golden.model()
    let single = try golden.rows.map { try model.evaluate(MicroBatch(rows: [$0])) }
    #expect(abs(try model.evaluate(golden.batch) / single.reduce(0, +) - 1) < 1e-14)
  }

  /// Masks are drawn anew for each step, micro-batch and seed, and are the same when drawn again.
  @Test func dropoutDependsOnItsKeyAlone() throws {
    let golden = try GoldenModel("llama")
    let model = try golden.model(dropout: 0.3)
    func loss(_ seed: UInt64, _ step: Int, _ microBatch: Int) throws -> Double {
      try model.gradients(
        golden.batch, of: [], dropout: .init(seed: seed, step: step, microBatch: microBatch)
      ).lossSum
    }
    let losses = [try loss(1, 1, 0), try loss(1, 1, 1), try loss(1, 2, 0), try loss(2, 1, 0)]
    #expect(Set(losses).count == 4)
    #expect(try loss(1, 1, 0) == losses[0])
    #expect(try !losses.contains(model.evaluate(golden.batch)))
  }

  @Test func aBatchWithoutLabelsHasNoLossAndNoGradient() throws {
    let golden = try GoldenModel("llama")
    let model = try golden.model()
    let name = "model.layers.1.mlp.up_proj.lora_b"
    let result = try model.gradients(MicroBatch(rows: [[5], [7]]), of: [name], dropout: nil)
    #expect(result.lossSum == 0)
    #expect(result.gradients == [name: HostTensor(zeros: [4, 52])])
  }

  @Test func labelsMayLeavePlacesOut() throws {
    let golden = try GoldenModel("llama")
    let model = try golden.model()
    var batch = MicroBatch(rows: [[5, 6, 7, 8]])
    let whole = try model.evaluate(batch)
    #expect(batch.trainedTokens == 3)
    batch.labels[1] = MicroBatch.ignored
    let part = try model.evaluate(batch)
    batch.labels = [-100, 7, -100, -100]
    #expect(abs((try model.evaluate(batch)) + part - whole) < 1e-12)
  }

  @Test func batchesFromOutsideAreChecked() throws {
    let model = try GoldenModel("llama").model()
    var bad: [MicroBatch] = [MicroBatch(rows: [[5, 300]]), MicroBatch(rows: [[5, -1, 3]])]
    bad.append(MicroBatch(tokens: [1, 2], offsets: [0, 3], labels: [2, -100]))
    bad.append(MicroBatch(tokens: [1, 2], offsets: [0, 2, 1, 2], labels: [2, -100]))
    bad.append(MicroBatch(tokens: [1, 2], offsets: [], labels: [2, -100]))
    bad.append(MicroBatch(tokens: [1, 2], offsets: [0, 2], labels: [2]))
    bad.append(MicroBatch(tokens: [1, 2], offsets: [0, 2], labels: [300, -100]))
    for batch in bad { #expect(throws: BatchError.self) { try model.evaluate(batch) } }
    #expect(throws: BatchError.self) { try model.logits([3, 999]) }
    #expect(throws: ParameterError.self) {
      try model.gradients(MicroBatch(rows: [[1, 2]]), of: ["x"], dropout: nil)
    }
    #expect(throws: ParameterError.self) {
      try [Float(1)].withUnsafeBufferPointer {
        try model.setParameter("model.layers.0.mlp.up_proj.lora_b", $0)
      }
    }
  }

  /// The step's memory is given back, so that the next one finds it.
  @Test func memoryDoesNotGrow() throws {
    let golden = try GoldenModel("qwen3")
    let model = try golden.model()
    let names = Set(model.parameters.map(\.name))
    let largest = MicroBatch(rows: [Array(repeating: 7, count: 100), Array(repeating: 9, count: 60)])
    _ = try model.gradients(largest, of: names, dropout: nil)
    _ = try model.logits(Array(repeating: 7, count: 100))
    let peak = model.peakMemory
    for length in 1...50 {
      _ = try model.gradients(
        MicroBatch(rows: [Array(repeating: 7, count: 2 * length), [1, 2]]), of: names, dropout: nil)
    }
    #expect(model.peakMemory == peak)
  }

  /// The same numbers stored as f16 and as f32 are the same model, in every arithmetic.
  @Test func halfPrecisionWeightsAreUsedAsTheyAre() throws {
    let source = try GoldenModel("llama").folder
    func copy(_ dtype: StoredType) throws -> (TemporaryFolder, ModelFolder) {
      let folder = try TemporaryFolder()
      try folder.write("config.json", Data(contentsOf: URL(fileURLWithPath: source.path + "/config.json")))
      var buffers: [UnsafeMutableRawBufferPointer] = []
      defer { for buffer in buffers { buffer.deallocate() } }
      let items = try source.weights.names.map { name in
        let stored = try source.weights.tensor(name)
        let buffer = UnsafeMutableRawBufferPointer.allocate(
          byteCount: stored.count * dtype.size, alignment: 4)
        buffers.append(buffer)
        for (i, value) in stored.floats().enumerated() {
          let rounded = Float16(value)
          if dtype == .f16 {
            buffer.storeBytes(of: rounded.bitPattern, toByteOffset: 2 * i, as: UInt16.self)
          } else {
            buffer.storeBytes(of: Float(rounded), toByteOffset: 4 * i, as: Float.self)
          }
        }
        return SafetensorsItem(name: name, shape: stored.shape, dtype: dtype, bytes: .init(buffer))
      }
      try SafetensorsWriter.write(items, to: folder.path + "/model.safetensors")
      return (folder, try ModelFolder(path: folder.path))
    }
    let (half, single) = (try copy(.f16), try copy(.f32))
    let tokens: [Int32] = [1, 50, 7, 299]
    for trainable in [Trainable.full, .lora(try GoldenModel("llama").loraSpecification())] {
      for precision in Precision.allCases {
        let models = try [half.1, single.1].map { folder in
          let model = try TrainableModel(
            folder: folder, trainable: trainable, pool: ThreadPool(threads: 1), precision: precision)
          // Adapters are zero at first.
          if case .lora = trainable {
            for parameter in model.parameters {
              let count = parameter.shape.reduce(1, *)
              try (0..<count).map { Float($0 % 7 - 3) / 16 }.withUnsafeBufferPointer {
                try model.setParameter(parameter.name, $0)
              }
            }
          }
          return model
        }
        let logits = try models.map { try $0.logits(tokens) }
        #expect(logits[0] == logits[1], "\(precision)")
        let names = Set(models[0].parameters.map(\.name))
        let gradients = try models.map {
          try $0.gradients(MicroBatch(rows: [tokens]), of: names, dropout: nil).gradients.mapValues(\.values)
        }
        #expect(gradients[0] == gradients[1], "\(precision)")
        #expect(gradients[0].values.allSatisfy { $0.contains { $0 != 0 } })
      }
    }
    withExtendedLifetime((half.0, single.0)) {}
  }

  @Test func weightsThatAreNotFiniteAreNamed() throws {
    let source = fixture("models/llama")
    let folder = try TemporaryFolder()
    var weights = [UInt8](try Data(contentsOf: URL(fileURLWithPath: source + "/model.safetensors")))
    // The last number of the file belongs to the tensor whose name is last in the header's order.
    weights.replaceSubrange(weights.count - 4..<weights.count, with: [0, 0, 0xC0, 0x7F])
    try folder.write("model.safetensors", weights)
    try folder.write("config.json", Data(contentsOf: URL(fileURLWithPath: source + "/config.json")))
    let model = try ModelFolder(path: folder.path)
    expectError(folder.path + "/model.safetensors", "tensor model.", "1 of its", "NaN") {
      _ = try TrainableModel(folder: model, trainable: .full, pool: ThreadPool(threads: 1))
    }
    _ = try TrainableModel(
      folder: model, trainable: .full, pool: ThreadPool(threads: 1), scansForNonFinite: false)
  }

  /// An adapter of some modules in some layers is one of all modules whose other B are zero, to the bit: these add
  /// nothing to the outputs and nothing to the gradients of the inputs.
  @Test func partialAdaptersAreWholeOnesWithZeros() throws {
    let golden = try GoldenModel("qwen2_f32")
    let whole = try golden.model()
    var specification = try golden.loraSpecification()
    specification.layers = [1, 3]
    specification.targetModules = ["v_proj", "down_proj"]
    let part = try TrainableModel(
      folder: golden.folder, trainable: .lora(specification), pool: ThreadPool(threads: 1))
    let names = Set(part.parameters.map(\.name))
    #expect(names.count == 8)
    for parameter in whole.parameters {
      var values = try whole.parameterValues(parameter.name).values
      if names.contains(parameter.name) {
        try values.withUnsafeBufferPointer { try part.setParameter(parameter.name, $0) }
      } else if parameter.name.hasSuffix("lora_b") {
        values = values.map { _ in 0 }
        try values.withUnsafeBufferPointer { try whole.setParameter(parameter.name, $0) }
      }
    }
    let (a, b) = (
      try part.gradients(golden.batch, of: names, dropout: nil),
      try whole.gradients(golden.batch, of: names, dropout: nil)
    )
    #expect(a.lossSum == b.lossSum)
    let same = a.gradients == b.gradients
    #expect(same)
    #expect(a.gradients.values.allSatisfy { $0.values.contains { $0 != 0 } })
  }

  @Test func anAdapterForAnotherModelIsRefused() throws {
    let golden = try GoldenModel("llama")
    var specification = try golden.loraSpecification()
    specification.layers = [3, 4]
    expectError("layers") {
      _ = try TrainableModel(
        folder: golden.folder, trainable: .lora(specification), pool: ThreadPool(threads: 1))
    }
  }

  /// ±1/√in, every value within, the mean near 0 and the variance near 1/(3·in); B zero; and the numbers of a
  /// module do not depend on which others are adapted.
  @Test func freshAdapters() throws {
    let golden = try GoldenModel("qwen2_bf16")
    var specification = try golden.loraSpecification()
    specification.rank = 64
    let configuration = golden.folder.configuration
    let all = TrainableModel.freshLoRA(configuration: configuration, specification: specification, seed: 7)
    #expect(Set(all.keys) == Set(specification.tensors(of: configuration).map(\.name)))
    let a = try #require(all["model.layers.2.mlp.down_proj.lora_a"])
    #expect(a.shape == [64, 64])
    let bound = 1 / Float(64).squareRoot()
    #expect(a.values.allSatisfy { abs($0) <= bound })
    let mean = a.values.reduce(0) { $0 + Double($1) } / Double(a.count)
    let variance = a.values.reduce(0) { $0 + Double($1) * Double($1) } / Double(a.count)
    #expect(abs(mean) < 0.005)
    #expect(abs(variance * 3 * 64 - 1) < 0.05)
    #expect(all["model.layers.2.mlp.down_proj.lora_b"] == HostTensor(zeros: [64, 48]))

    specification.layers = [2]
    specification.targetModules = ["down_proj"]
    let one = TrainableModel.freshLoRA(configuration: configuration, specification: specification, seed: 7)
    #expect(one["model.layers.2.mlp.down_proj.lora_a"] == a)
    let other = TrainableModel.freshLoRA(configuration: configuration, specification: specification, seed: 8)
    #expect(other["model.layers.2.mlp.down_proj.lora_a"] != a)
  }
}
