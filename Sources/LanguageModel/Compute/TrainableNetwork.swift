import Tensors

/// What a worker trains: a language model, or the continuum memory system.
public protocol TrainableNetwork: AnyObject {
  /// What is trained.
  var parameters: [ParameterInfo] { get }
  var layerCount: Int { get }
  /// Who sees how far computations are, and may end them between two layers.
  var watch: ComputationWatch? { get set }
  /// Who notes what goes from layer to layer, if anybody. No bit depends on it.
  var trace: LayerTrace? { get set }

  /// - Throws: `ParameterError` if there is no such parameter or the number of values is another.
  func setParameter(_ name: String, _ values: UnsafeBufferPointer<Float>) throws
  /// The sum of the losses of all trained places, without dropout.
  func evaluate(_ batch: MicroBatch) throws -> Double
  /// The sum of the losses of all trained places, and the gradients of this sum by the named parameters.
  func gradients(
    _ batch: MicroBatch, of names: Set<String>, dropout: DropoutKey?
  ) throws -> (lossSum: Double, gradients: [String: HostTensor])
}

extension TrainableModel: TrainableNetwork {
  public var layerCount: Int { configuration.layerCount }

  public func evaluate(_ batch: MicroBatch) throws -> Double { try evaluate(batch, adapterScale: 1) }
}
