import Foundation
import JSON
import Kernels
import LanguageModel
import NestedLearning
import Randomness
import Service
import Tensors

/// Times whole training steps: forward, backward, clipping and update, on random tokens, with LoRA of rank 8 on
/// all seven projections; plain, or with tiers. Needs only `config.json` and the weights.
public struct StepBenchmark {
  /// Three tiers, updated every 1, 2 and 4 steps.
  public struct Nested: Sendable {
    public var order: TierOrder
    public var inactiveGradients: InactiveGradients

    public init(order: TierOrder, inactiveGradients: InactiveGradients) {
      self.order = order
      self.inactiveGradients = inactiveGradients
    }
  }

  private let folder: ModelFolder
  private let batch: Int
  private let sequence: Int
  private let threads: Int
  private let precision: Precision
  private let nested: Nested?
  private let recomputesLayers: Bool
  /// Steps that are not counted: they make memory resident and fill caches.
  private let warmUpSteps = 4
  /// Rounds through all steps that differ in their due tiers; a plain run has one such step.
  private let rounds = 3...30
  /// Seconds after which no further step is begun, once enough are counted.
  private let budget: Double

  /// - Parameters:
  ///   - model: a model folder.
  ///   - batch: rows in the micro-batch, which is the step.
  ///   - sequence: tokens in a row, at least 2.
  ///   - arithmetic: that of products with the model's matrices; `auto` is resolved as a run's is.
  ///   - nested: nil for plain fine-tuning, all parameters at every step.
  ///   - recomputesLayers: as `TrainableModel` says.
  ///   - seconds: after which no further step is begun, once three of each kind are counted.
  public init(
    model: String, batch: Int, sequence: Int, threads: Int, arithmetic: Arithmetic = .f32,
    nested: Nested? = nil,
    recomputesLayers: Bool = false, seconds: Double = 20
  ) throws {
    guard batch >= 1, sequence >= 2, batch <= 1 << 16, sequence <= 1 << 20 else {
      throw ModelError(
        file: model,
        "a batch of \(batch) rows of \(sequence) tokens cannot be timed; give at least 1 row of 2 tokens")
    }
    folder = try ModelFolder(path: model)
    self.batch = batch
    self.sequence = sequence
    self.threads = threads
    precision = ArithmeticChoice(folder: folder).resolved(arithmetic).precision
    self.nested = nested
    self.recomputesLayers = recomputesLayers
    budget = seconds
  }

  /// - Returns: `seconds_per_step` (the median; with tiers the mean over the four kinds of steps, each by its median),
  ///   `processor_seconds_per_step`, of all threads together, which other programs disturb less,
  ///   `tokens_per_second`, `gflops` (see `operations`), the processor's peak in this precision and the fraction of it,
  ///   `peak_rss_mb` of this process, and what was measured.
  public func run() throws -> JSONValue {
    let specification = LoRASpecification(
      rank: 8, alpha: 16, targetModules: NestedLearningConfig.allTargetModules,
      layers: Array(0..<folder.configuration.layerCount))
    let pool = try ThreadPool(threads: threads)
    let peak = ComputePeak(pool: pool, precision: precision)
    let before = peak.rate()
    let model = try TrainableModel(
      folder: folder, trainable: .lora(specification), pool: pool,
      scansForNonFinite: false, precision: precision, recomputesLayers: recomputesLayers)
    var state = try initialState(model, specification)
    try send(state.parameters, to: model)

    let kinds = nested == nil ? 1 : 4
    var times = [[Double]](repeating: [], count: kinds)
    var processorTimes: [Double] = []
    var last = 0.0
    let begin = DispatchTime.now().uptimeNanoseconds
    for step in 1...warmUpSteps + kinds * rounds.upperBound {
      let used = Self.processorSeconds()
      let start = DispatchTime.now().uptimeNanoseconds
      last = try train(step, model, &state)
      let end = DispatchTime.now().uptimeNanoseconds
      if step > warmUpSteps {
        times[step % kinds].append(Double(end - start) * 1e-9)
        processorTimes.append(Self.processorSeconds() - used)
      }
      let fewest = times.map(\.count).min() ?? 0
      if fewest >= rounds.lowerBound, Double(end - begin) * 1e-9 > budget { break }
    }
    return report(
      times.map { $0.sorted() }, processorTimes.sorted(), loss: last, peak: max(before, peak.rate()))
  }

  /// One step, as workers and coordinator do it; returns its mean loss.
  private func train(_ step: Int, _ model: TrainableModel, _ state: inout NestedTrainerState) throws -> Double
  {
    let batch = microBatch(step)
    let due = state.tiersDue(at: step).flatMap { state.scheduler.tiers[$0].parameters }
    let (loss, gradients) = try model.gradients(batch, of: Set(due), dropout: nil)
    let sums = gradients.mapValues(\.values)
    let tokens = batch.trainedTokens
    let given: StepGradients =
      state.window == nil
      ? .sums(sums)
      : .scaledMicroBatches([sums.mapValues { GradientWindow.scaled($0, trainedTokens: tokens) }])
    let outcome = try state.apply(step: step, trainedTokens: tokens, gradients: given)
    for tier in outcome.activeTiers {
      let names = state.scheduler.tiers[tier].parameters
      try send(state.parameters.filter { names.contains($0.key) }, to: model)
    }
    return loss / Double(tokens)
  }

  private func report(
    _ times: [[Double]], _ processorTimes: [Double], loss: Double, peak: Double
  ) -> JSONValue {
    let medians = times.map { times in
      let middle = times.count / 2
      return times.count % 2 == 1 ? times[middle] : (times[middle - 1] + times[middle]) / 2
    }
    let median = medians.reduce(0, +) / Double(medians.count)
    let best = times.map { $0.first ?? 0 }.reduce(0, +) / Double(times.count)
    return [
      "seconds_per_step": .number(median),
      "tokens_per_second": .number(Double(batch * sequence) / median),
      "gflops": .number(operations / median * 1e-9),
      "peak_gflops": .number(peak * 1e-9), "fraction_of_peak": .number(operations / median / peak),
      "peak_rss_mb": .number(Self.peakResidentMegabytes()),
      "arithmetic": .string(precision.arithmetic.rawValue),
      "best_seconds_per_step": .number(best), "best_seconds": .number(best),
      "seconds_by_kind": .numbers(medians),
      "processor_seconds_per_step": .number(processorTimes[processorTimes.count / 2]),
      "best_processor_seconds_per_step": .number(processorTimes[0]),
      "steps": .number(times.reduce(0) { $0 + $1.count }), "batch": .number(batch),
      "sequence": .number(sequence),
      "threads": .number(threads), "last_loss": .number(loss),
      "nested": nested.map { .string($0.order.rawValue) } ?? "off",
      "inactive_gradients": nested.map { .string($0.inactiveGradients.rawValue) } ?? .null,
      "precision": .string(precision.rawValue),
      "activation_checkpointing": recomputesLayers ? "layer" : "none",
      "isa": .string(String(cString: nl_isa_name(nl_isa_current()))),
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

  /// Plain fine-tuning as the trainer does it is one tier, updated at every step.
  private func initialState(
    _ model: TrainableModel, _ specification: LoRASpecification
  ) throws -> NestedTrainerState {
    var config = NestedLearningConfig(
      baseModelPath: folder.path, trainDataPath: "random tokens", experimentName: "bench")
    config.numTiers = nested == nil ? 1 : 3
    config.tierUpdateFrequencies = nested == nil ? [1] : [1, 2, 4]
    config.tierOrder = nested?.order ?? config.tierOrder
    config.inactiveGradients = nested?.inactiveGradients ?? .discard
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

  /// Processor time of this process so far, all threads together, inside the kernel too.
  private static func processorSeconds() -> Double {
    var usage = rusage()
    let itself: Int32 = 0  // RUSAGE_SELF, an enumeration in glibc's header
    guard getrusage(itself, &usage) == 0 else { return .nan }
    func seconds(_ time: timeval) -> Double { Double(time.tv_sec) + Double(time.tv_usec) * 1e-6 }
    return seconds(usage.ru_utime) + seconds(usage.ru_stime)
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
