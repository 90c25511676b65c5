import Digests
import Files
import JSON
import LanguageModel
import NestedLearning
import Tensors
import Training
import WireProtocol

/// The continuum memory demonstration as a run: what the notebook trains, through the same coordinator and workers as a
/// language model. Each level is a tier whose period is its chunk; gradients are summed until it updates, with one Adam a
/// level, whose rate is the base rate divided by the chunk.
public struct ContinuumMemoryPlan: Sendable {
  public let shape: ContinuumMemoryShape
  /// Rows of a step, and vectors in each.
  public let batch: Int
  public let sequence: Int
  package let config: NestedLearningConfig
  package let scheduler: ParameterTierScheduler
  package let initialValues: [String: [Float]]

  /// - Parameters:
  ///   - output: the folder in which the run's folder is made.
  ///   - batch: rows of a step.
  ///   - sequence: vectors in a row.
  /// - Throws: `ServiceError` that names a flag which cannot be.
  public init(
    shape: ContinuumMemoryShape = ContinuumMemoryShape(), output: String, name: String = "cms-demo",
    batch: Int = 32, sequence: Int = 16, steps: Int = 300, learningRate: Double = 1e-4, seed: UInt64 = 42
  ) throws {
    let limits = ContinuumMemoryShape.limits
    guard shape.isWithinLimits else {
      throw ServiceError(
        "a memory of width \(shape.width), inner width \(shape.inner) and \(shape.levels.count) levels cannot be trained",
        remedy:
          "give at most \(limits.width), \(limits.inner) and \(limits.levels) levels with chunks of at least 1, \(limits.parameters) numbers together"
      )
    }
    guard batch >= 1, sequence >= 1, steps >= 1, batch <= 1 << 16, sequence <= 1 << 16, steps <= 1 << 24,
      (steps + 1) * batch * sequence <= Int(Int32.max)
    else {
      throw ServiceError(
        "\(steps) steps of \(batch) rows of \(sequence) vectors are none, or more than \(Int32.max) vectors",
        remedy: "give smaller --steps, --batch or --seq, of at least 1")
    }
    (self.shape, self.batch, self.sequence) = (shape, batch, sequence)
    config = Self.config(
      shape, output: output, name: name, batch: batch, sequence: sequence, steps: steps,
      learningRate: learningRate, seed: seed)
    scheduler = try ParameterTierScheduler(
      config: config,
      parameters: shape.parameters.map { parameter in
        TrainableParameter(
          name: parameter.name, module: shape.levels[parameter.level].name, layer: parameter.level,
          count: parameter.shape.reduce(1, *))
      })
    initialValues = shape.initialValues(seed: seed)
  }

  private static func config(
    _ shape: ContinuumMemoryShape, output: String, name: String, batch: Int, sequence: Int, steps: Int,
    learningRate: Double, seed: UInt64
  ) -> NestedLearningConfig {
    // Two micro-batches, so that two workers have as much to do.
    let parts = batch % 2 == 0 ? 2 : 1
    var config = NestedLearningConfig(
      baseModelPath: "continuum memory, \(shape.width) × \(shape.inner)", trainDataPath: "generated vectors",
      experimentName: name)
    config.outputPath = output
    config.trainable = .full
    config.numTiers = shape.levels.count
    config.tierUpdateFrequencies = shape.levels.map(\.chunk)
    config.inactiveGradients = .sum
    config.tierLrScale = .inverseFrequency
    // Often enough for saw teeth of 16 to be seen.
    config.flushEvery = 4
    config.learningRate = learningRate
    config.warmupSteps = 0
    config.maxGradNorm = nil
    config.numSteps = steps
    config.batchSize = batch / parts
    config.gradientAccumulationSteps = parts
    config.maxSeqLength = sequence
    config.seed = seed
    (config.evalEvery, config.checkpointEvery) = (steps, steps + 1)
    config.earlyStop = false
    config.arithmetic = .f32
    return config
  }

  /// The run's folder.
  public var folder: String { config.outputPath + "/" + config.experimentName }

  /// For people.
  public var summary: String {
    let count = shape.parameters.reduce(0) { $0 + $1.shape.reduce(1, *) }
    let levels = shape.levels.map { level in
      "         \(level.name), every \(level.chunk) step\(level.chunk == 1 ? "" : "s"), rate \(config.learningRate / Double(level.chunk))"
    }
    return """
      Memory   \(shape.levels.count) levels of \(shape.width) → \(shape.inner) → \(shape.width), \(count) parameters
      \(levels.joined(separator: "\n"))
      Data     generated vectors, \(batch) × \(sequence) a step; each is to be given back
      Steps    \(config.numSteps)
      Output   \(folder)
      """
  }
}

extension ContinuumMemoryPlan: TrainedRun {
  package var shapes: [String: [Int]] {
    Dictionary(uniqueKeysWithValues: shape.parameters.map { ($0.name, $0.shape) })
  }
  package var numericProfile: String { NumericProfile.name(of: .f32) }
  package var rowsCut: (train: RowsCut, validation: RowsCut) { (RowsCut(), RowsCut()) }
  package func epoch(after step: Int) -> Int { 0 }

  var modelPath: String { config.baseModelPath }
  var modelSHA256: String { Digest.sha256(trainableJSON.text) }
  var modelFolder: ModelFolder? { nil }
  var trainableJSON: JSONValue { shape.json(seed: config.seed) }
  var objective: Objective? { nil }
  var measurement: MeasuredQuantity? { nil }
  var sampling: TextSampling? { nil }
  var precision: Precision { .f32 }
  var recordedConfig: JSONValue { config.json() }
  var batchSource: any BatchSource { GeneratedBatches(plan: self) }
  var dropoutSeed: UInt64? { nil }
  var stateBytes: Int { shape.byteCount / 3 * (3 + config.gradientAccumulationSteps) }
  var notesWindowNorms: Bool { true }

  /// The parameters, by the names that PyTorch has for them.
  package func write(parameters: [String: [Float]], scale: Double, to folder: String) throws {
    let items = shape.parameters.map { parameter in
      SafetensorsItem(name: parameter.name, shape: parameter.shape, as: .f32) {
        parameters[parameter.name] ?? []
      }
    }
    try SafetensorsWriter.write(items, to: folder + "/model.safetensors")
  }
}

/// Vectors by their numbers, each seen once; those of the evaluation come after the last step's.
private struct GeneratedBatches: BatchSource {
  let plan: ContinuumMemoryPlan

  func microBatches(step: Int) -> [AssignedMicroBatch] {
    (0..<plan.config.gradientAccumulationSteps).map { batch(step: step, number: $0) }
  }

  func evaluationTokens() -> [Int] {
    microBatches(step: plan.config.numSteps + 1).map(\.trainedTokens)
  }

  func evaluationBatch(_ number: Int) -> AssignedMicroBatch {
    batch(step: plan.config.numSteps + 1, number: number)
  }

  private func batch(step: Int, number: Int) -> AssignedMicroBatch {
    let rows = plan.config.batchSize
    let first = ((step - 1) * plan.batch + number * rows) * plan.sequence
    let vectors = (first..<first + rows * plan.sequence).map(Int32.init)
    return AssignedMicroBatch(
      number: number, tokens: vectors, offsets: (0...rows).map { Int32($0 * plan.sequence) }, labels: vectors)
  }
}
