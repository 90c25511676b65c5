import Randomness
import Tensors

/// A model whose gradients can be computed: frozen weights with LoRA adapters, or all weights trained.
///
/// It belongs to one thread, which the pool's threads help. All results are functions of the weights, the
/// parameters and the batch alone, to the bit: the number of threads, what was computed before and which
/// gradients are asked for together have no influence.
public final class TrainableModel {
  /// What is trained, sorted by the UTF-8 bytes of the names.
  public let parameters: [ParameterInfo]
  public let configuration: ModelConfiguration
  public let trainable: Trainable

  let transformer: Transformer
  /// The heads of tasks, beside the model's own.
  let tasks: TaskModules
  let discriminator: DomainDiscriminator?
  let tape: Tape
  let rope: RoPETable
  private let trained: [String: Parameter]
  private let recomputesLayers: Bool

  /// Maps the weights of a model. With `.lora` all adapter matrices are zero until they are set, so the model
  /// computes what the base model does; with `.full` the parameters are the checkpoint's weights.
  ///
  /// - Parameters:
  ///   - scansForNonFinite: whether every weight is looked at once, and NaN and infinities refused
  ///   - precision: that of products with the model's matrices
  ///   - replaced: tensors that stand for those of the folder; see ``AdapterWeights/replaced``
  ///   - recomputesLayers: whether only the inputs of layers are kept for the backward pass, which computes the rest
  ///     once more: a third more time, and memory for the activations of one layer instead of all
  /// - Throws: `ModelError` that names file and tensor if one is missing, has another shape than config.json
  ///   asks for, or holds numbers that are not finite, or if an adapter does not fit the model.
  public init(
    folder: ModelFolder, trainable: Trainable, pool: ThreadPool, scansForNonFinite: Bool = true,
    precision: Precision = .f32, recomputesLayers: Bool = false, replaced: [String: HostTensor] = [:]
  ) throws {
    self.recomputesLayers = recomputesLayers
    self.trainable = trainable
    var folder = folder
    if case .lora(let specification) = trainable, let rows = specification.vocabularyRows {
      folder = try folder.grown(to: rows)
    }
    configuration = folder.configuration
    if case .lora(let specification) = trainable {
      try specification.check(for: configuration, file: folder.path)
    }
    let memory = try MemoryPool()
    tape = Tape(threads: pool, memory: memory, precision: precision)
    var builder = TransformerBuilder(
      loader: WeightLoader(
        folder: folder, memory: memory, threads: pool, scansForNonFinite: scansForNonFinite,
        replaced: replaced),
      trainable: trainable)
    transformer = try builder.build()
    if case .lora(let specification) = trainable {
      tasks = try builder.taskModules(specification)
      discriminator = try builder.discriminator(specification)
      domains = specification.domains
    } else {
      tasks = TaskModules()
      (discriminator, domains) = (nil, nil)
    }
    trained = builder.trained
    rope = RoPETable(configuration: configuration, memory: memory)
    parameters = trained.values
      .map { ParameterInfo(name: $0.name, shape: $0.tensor.shape) }
      .sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
  }

  /// What depends on domains; nil if nothing does.
  public let domains: Domains?
  /// The number of the domain that rows are of which do not say; nil: of none, so that norms are as the base model has them.
  public var domain: Int?

  /// Bytes of memory for parameters, activations and gradients at the most so far; weights that stay mapped
  /// from their files are not counted.
  public var peakMemory: Int { tape.memory.highWater }

  /// Who sees how far this model's computations are, and may end them between two layers: `evaluate` and `gradients`
  /// then throw `TensorError.cancelled`, and the model is as it was.
  public var watch: ComputationWatch? {
    get { tape.watch }
    set { tape.watch = newValue }
  }

  /// Who notes what goes from layer to layer of the following computations, if anybody. No bit of them depends on it.
  public var trace: LayerTrace?

  /// Replaces the values of one parameter.
  /// - Throws: `ParameterError` if there is no such parameter or the number of values is another.
  public func setParameter(_ name: String, _ values: UnsafeBufferPointer<Float>) throws {
    let parameter = try parameter(name)
    guard values.count == parameter.tensor.count else {
      throw ParameterError(
        "parameter \(name) has \(parameter.tensor.count) values (\(parameter.tensor.shape)), not \(values.count)"
      )
    }
    parameter.tensor.withMutableValues { _ = $0.update(from: values) }
  }

  /// The values of one parameter.
  public func parameterValues(_ name: String) throws -> HostTensor {
    let tensor = try parameter(name).tensor
    return HostTensor(shape: tensor.shape, values: tensor.values)
  }

  /// The sum of the losses of all trained tokens, without dropout.
  ///
  /// - Parameter adapterScale: what the scales of LoRA pairs are multiplied by.
  public func evaluate(_ batch: MicroBatch, adapterScale: Double) throws -> Double {
    try batch.check(vocabulary: configuration.vocabularySize, heads: tasks.heads, domains: domains)
    return try lossSum(batch, dropout: nil, adapterScale: adapterScale)
  }

  /// The sum of the losses of all trained tokens, and the gradients of this sum by the named parameters.
  ///
  /// The backward pass goes no further down than the lowest of them; without names there is none. With
  /// `dropout` LoRA's inputs are masked as its specification says; without, nothing is dropped.
  public func gradients(
    _ batch: MicroBatch, of names: Set<String>, dropout: DropoutKey?
  ) throws -> (lossSum: Double, gradients: [String: HostTensor]) {
    let (loss, gradients) = try withGradients(of: names, batch) { try lossSum(batch, dropout: dropout) }
    return (loss, gradients)
  }

  /// What a pass comes to, and the gradients of what it has put on the tape.
  func withGradients<R>(
    of names: Set<String>, _ batch: MicroBatch, _ pass: () throws -> R
  ) throws -> (R, gradients: [String: HostTensor]) {
    try batch.check(vocabulary: configuration.vocabularySize, heads: tasks.heads, domains: domains)
    let wanted = try names.map(parameter)
    for parameter in wanted { parameter.gradient = Gradient(shape: parameter.tensor.shape) }
    defer {
      for parameter in wanted { parameter.gradient = nil }
      tape.clear()
    }
    let loss = try pass()
    try tape.backward()
    var gradients: [String: HostTensor] = [:]
    for parameter in wanted {
      let shape = parameter.tensor.shape
      gradients[parameter.name] =
        parameter.gradient?.tensor.map { HostTensor(shape: shape, values: $0.values) }
        ?? HostTensor(zeros: shape)
    }
    return (loss, gradients)
  }

  private func lossSum(
    _ batch: MicroBatch, dropout: DropoutKey?, adapterScale: Double = 1
  ) throws -> Double {
    let places = batch.trainedPlaces
    guard !places.isEmpty else { return 0 }
    guard batch.rowTasks.isEmpty else {
      return try taskLosses(batch, dropout: dropout, adapterScale: adapterScale).tasks.reduce(0) {
        $0 + $1.loss
      }
    }
    let pass = try trainingPass(batch, dropout: dropout, adapterScale: adapterScale)
    let hidden = try transformer.hidden(batch.tokens, pass)
    return try transformer.lossSum(
      hidden, places: places, labels: places.map { batch.labels[Int($0)] }, pass)
  }

  func trainingPass(
    _ batch: MicroBatch, dropout: DropoutKey?, adapterScale: Double = 1, kept: LayerInput? = nil
  ) throws -> ForwardPass {
    try ForwardPass(
      tape: tape, offsets: batch.offsets, rope: rope, tokenDomains: tokenDomains(batch),
      dropout: dropout.flatMap(dropoutSetting),
      headKey: dropout.map(Self.dropoutNumber), recomputesLayers: recomputesLayers,
      adapterScale: adapterScale, trace: trace, kept: kept)
  }

  /// The domain of each token; empty where nothing depends on it.
  func tokenDomains(_ batch: MicroBatch) -> [Int32] {
    guard domains?.adaptsNorms == true else { return [] }
    if batch.rowDomains.isEmpty { return tokenDomains(count: batch.tokens.count) }
    return zip(batch.rowDomains, zip(batch.offsets, batch.offsets.dropFirst())).flatMap { domain, range in
      [Int32](repeating: domain, count: Int(range.1 - range.0))
    }
  }

  /// The same for tokens of rows that do not say.
  func tokenDomains(count: Int) -> [Int32] {
    guard domains?.adaptsNorms == true else { return [] }
    return domain.map { [Int32](repeating: Int32($0), count: count) } ?? []
  }

  private func dropoutSetting(_ key: DropoutKey) -> (probability: Float, key: UInt64)? {
    guard case .lora(let specification) = trainable, specification.dropout > 0 else { return nil }
    return (specification.dropout, Self.dropoutNumber(key))
  }

  private static func dropoutNumber(_ key: DropoutKey) -> UInt64 {
    RandomKey(
      .dropout, seed: key.seed, UInt32(truncatingIfNeeded: key.microBatch),
      UInt64(truncatingIfNeeded: key.step)
    ).number
  }

  private func parameter(_ name: String) throws(ParameterError) -> Parameter {
    guard let parameter = trained[name] else {
      throw ParameterError("the model has no trained parameter \(name)")
    }
    return parameter
  }
}

/// A parameter that does not exist or does not fit.
public struct ParameterError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}
