import Tensors

/// The continuum memory system, whose gradients can be computed. What it learns is to give back what it is given: tokens
/// and labels of a micro-batch are numbers of generated vectors.
///
/// It belongs to one thread, which the pool's threads help. All results are functions of the parameters and the batch
/// alone, to the bit.
public final class ContinuumMemory: TrainableNetwork {
  public let shape: ContinuumMemoryShape
  public let parameters: [ParameterInfo]
  public var trace: LayerTrace?
  private let tape: Tape
  private let seed: UInt64
  private let trained: [String: Parameter]

  /// - Parameter seed: of the initial values and the vectors.
  public init(_ shape: ContinuumMemoryShape, seed: UInt64, pool: ThreadPool) throws {
    self.shape = shape
    self.seed = seed
    let memory = try MemoryPool()
    tape = Tape(threads: pool, memory: memory)
    let values = shape.initialValues(seed: seed)
    var trained: [String: Parameter] = [:]
    for (name, dimensions, _) in shape.parameters {
      trained[name] = Parameter(name: name, tensor: try memory.tensor(dimensions, values[name] ?? []))
    }
    self.trained = trained
    parameters = shape.parameters.map { ParameterInfo(name: $0.name, shape: $0.shape, layer: $0.level) }
  }

  public var layerCount: Int { shape.levels.count }

  public var watch: ComputationWatch? {
    get { tape.watch }
    set { tape.watch = newValue }
  }

  public func setParameter(_ name: String, _ values: UnsafeBufferPointer<Float>) throws {
    let parameter = try parameter(name)
    guard values.count == parameter.tensor.count else {
      throw ParameterError(
        "parameter \(name) has \(parameter.tensor.count) values (\(parameter.tensor.shape)), not \(values.count)"
      )
    }
    parameter.tensor.withMutableValues { _ = $0.update(from: values) }
  }

  /// The sum over the trained places of the mean squared error of a vector's numbers.
  public func evaluate(_ batch: MicroBatch) throws -> Double {
    defer { tape.clear() }
    return try lossSum(batch)
  }

  public func gradients(
    _ batch: MicroBatch, of names: Set<String>, dropout: DropoutKey?
  ) throws -> (lossSum: Double, gradients: [String: HostTensor]) {
    let wanted = try names.map(parameter)
    for parameter in wanted { parameter.gradient = Gradient(shape: parameter.tensor.shape) }
    defer {
      for parameter in wanted { parameter.gradient = nil }
      tape.clear()
    }
    let loss = try lossSum(batch)
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

  private func lossSum(_ batch: MicroBatch) throws -> Double {
    guard batch.labels.count == batch.tokens.count else {
      throw BatchError("\(batch.labels.count) labels for \(batch.tokens.count) tokens")
    }
    let places = batch.trainedPlaces.map(Int.init)
    guard !places.isEmpty else { return 0 }
    let target = try vectors(places.map { batch.labels[$0] })
    return try tape.squaredError(output(try vectors(places.map { batch.tokens[$0] })), target)
  }

  private func vectors(_ numbers: [Int32]) throws -> Tensor {
    try tape.memory.tensor(
      [numbers.count, shape.width], numbers.flatMap { shape.vector($0, seed: seed) })
  }

  private func output(_ input: Tensor) throws -> Variable {
    var x = Variable(input)
    for (number, level) in shape.levels.enumerated() {
      try tape.watch?.step()
      trace?.expectGradient(by: x, layer: number, on: tape)
      let inner = try linear(x, "\(level.name).0")
      x = try linear(try tape.gelu(inner), "\(level.name).2")
      trace?.passed(x.tensor, layer: number, on: tape)
    }
    return x
  }

  private func linear(_ x: Variable, _ name: String) throws -> Variable {
    try tape.linear(
      x, Matrix(parameter(name + ".weight").variable), bias: parameter(name + ".bias").variable)
  }

  private func parameter(_ name: String) throws(ParameterError) -> Parameter {
    guard let parameter = trained[name] else {
      throw ParameterError("the memory has no parameter \(name)")
    }
    return parameter
  }
}
