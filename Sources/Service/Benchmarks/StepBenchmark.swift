import Foundation
import JSON
import LanguageModel
import NestedLearning
import Tensors

/// Times whole training steps: forward, backward, clipping and update, on random tokens, with LoRA of rank 8 on
/// all seven projections. Needs only `config.json` and the weights.
public struct StepBenchmark {
  private let folder: ModelFolder
  private let batch: Int
  private let sequence: Int
  private let threads: Int
  private let precision: Precision
  /// Steps that are not counted: they make memory resident and fill caches.
  private let warmUpSteps = 2
  private let steps = 3...30
  /// Seconds after which no further step is begun, once enough are counted.
  private let budget = 20.0

  /// - Parameters:
  ///   - model: a model folder.
  ///   - batch: rows in the micro-batch, which is the step.
  ///   - sequence: tokens in a row, at least 2.
  ///   - precision: that of products with the model's matrices.
  public init(model: String, batch: Int, sequence: Int, threads: Int, precision: Precision = .f32) throws {
    guard batch >= 1, sequence >= 2, batch <= 1 << 16, sequence <= 1 << 20 else {
      throw ModelError(
        file: model,
        "a batch of \(batch) rows of \(sequence) tokens cannot be timed; give at least 1 row of 2 tokens")
    }
    folder = try ModelFolder(path: model)
    self.batch = batch
    self.sequence = sequence
    self.threads = threads
    self.precision = precision
  }

  /// - Returns: `seconds_per_step` (median), `tokens_per_second`, `gflops` (see `operations`), `peak_rss_mb` of
  ///   this process, and what was measured.
  public func run() throws -> JSONValue {
    let specification = LoRASpecification(
      rank: 8, alpha: 16, targetModules: NestedLearningConfig.allTargetModules,
      layers: Array(0..<folder.configuration.layerCount))
    let model = try TrainableModel(
      folder: folder, trainable: .lora(specification), pool: ThreadPool(threads: threads),
      scansForNonFinite: false, precision: precision)
    var state = try initialState(model, specification)
    let names = Set(model.parameters.map(\.name))
    try send(state.parameters, to: model)

    var times: [Double] = []
    var last = 0.0
    let begin = DispatchTime.now().uptimeNanoseconds
    for step in 1...warmUpSteps + steps.upperBound {
      let start = DispatchTime.now().uptimeNanoseconds
      let batch = microBatch(step)
      let (loss, gradients) = try model.gradients(batch, of: names, dropout: nil)
      _ = try state.apply(
        step: step, trainedTokens: batch.trainedTokens, gradients: .sums(gradients.mapValues(\.values)))
      try send(state.parameters, to: model)
      last = loss / Double(batch.trainedTokens)
      let end = DispatchTime.now().uptimeNanoseconds
      if step > warmUpSteps { times.append(Double(end - start) * 1e-9) }
      if times.count >= steps.lowerBound, Double(end - begin) * 1e-9 > budget { break }
    }
    return report(times.sorted(), loss: last)
  }

  private func report(_ times: [Double], loss: Double) -> JSONValue {
    let middle = times.count / 2
    let median = times.count % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2
    return [
      "seconds_per_step": .number(median),
      "tokens_per_second": .number(Double(batch * sequence) / median),
      "gflops": .number(operations / median * 1e-9),
      "peak_rss_mb": .number(Self.peakResidentMegabytes()),
      "best_seconds": .number(times.first ?? median),
      "steps": .number(times.count), "batch": .number(batch), "sequence": .number(sequence),
      "threads": .number(threads), "last_loss": .number(loss),
      "mixed_precision": .bool(precision == .bf16),
    ]
  }

  /// What a step cannot do without: two operations per weight and token in the forward pass, two in the backward
  /// pass (gradients of inputs; frozen weights need none of their own). The head counts for trained tokens. The
  /// adapters, attention and elementwise loops are left out.
  private var operations: Double {
    let configuration = folder.configuration
    let layer = Projection.allCases.reduce(0) {
      $0 + configuration.inputSize($1) * configuration.outputSize($1)
    }
    let head = configuration.vocabularySize * configuration.hiddenSize
    return 4 * Double(batch)
      * (Double(layer * configuration.layerCount) * Double(sequence) + Double(head) * Double(sequence - 1))
  }

  /// Plain fine-tuning as the trainer does it: one tier, updated at every step.
  private func initialState(
    _ model: TrainableModel, _ specification: LoRASpecification
  ) throws -> NestedTrainerState {
    var config = NestedLearningConfig(
      baseModelPath: folder.path, trainDataPath: "random tokens", experimentName: "bench")
    config.numTiers = 1
    config.tierUpdateFrequencies = [1]
    config.gradientAccumulationSteps = 1
    config.learningRate = 1e-4
    config.warmupSteps = 0
    let scheduler = try ParameterTierScheduler(
      config: config,
      parameters: model.parameters.map {
        TrainableParameter(name: $0.name, module: $0.module, layer: $0.layer, count: $0.shape.reduce(1, *))
      })
    let adapter = TrainableModel.freshLoRA(
      configuration: folder.configuration, specification: specification, seed: config.seed)
    return try NestedTrainerState(
      config: config, scheduler: scheduler, parameters: adapter.mapValues(\.values),
      shapes: adapter.mapValues(\.shape))
  }

  private func send(_ parameters: [String: [Float]], to model: TrainableModel) throws {
    for (name, values) in parameters {
      try values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
  }

  private func microBatch(_ step: Int) -> MicroBatch {
    var random = CounterRandom(seed: UInt64(step), purpose: .rowOrder)
    let vocabulary = folder.configuration.vocabularySize
    return MicroBatch(
      rows: (0..<batch).map { _ in (0..<sequence).map { _ in Int32(random.integer(below: vocabulary)) } })
  }

  /// The largest resident size that this process has had, files mapped into it included.
  private static func peakResidentMegabytes() -> Double {
    var usage = rusage()
    let itself: Int32 = 0  // RUSAGE_SELF, an enumeration in glibc's header
    guard getrusage(itself, &usage) == 0 else { return .nan }
    #if os(Linux)
      return Double(usage.ru_maxrss) / 1024
    #else
      return Double(usage.ru_maxrss) / 1_048_576
    #endif
  }
}
