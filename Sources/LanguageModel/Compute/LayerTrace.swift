import Tensors

/// Digests of what goes from layer to layer, forward and back, over the micro-batches of a shard: by them somebody who
/// computes it again finds the first layer that differs.
public final class LayerTrace {
  /// Of each layer's output, from the first layer on.
  public private(set) var forward: [WordDigest]
  /// Of the gradient by each layer's input, from the first layer on; nil where none was needed.
  private var byInput: [WordDigest?]

  /// From the last layer down, as the backward pass goes, to the lowest whose input has one.
  public var backward: [WordDigest] { byInput.reversed().prefix { $0 != nil }.compactMap(\.self) }

  /// Before the first micro-batch.
  public init(layerCount: Int) {
    forward = Array(repeating: WordDigest(), count: layerCount)
    byInput = Array(repeating: nil, count: layerCount)
  }

  func passed(_ output: Tensor, layer: Int, on tape: Tape) { forward[layer].add(output, on: tape.threads) }

  /// Notes the gradient by a layer's input when it is known. To be called before the layer is computed.
  func expectGradient(by input: Variable, layer: Int, on tape: Tape) {
    tape.whenGradient(of: input) { [self, threads = tape.threads] gradient in
      var digest = byInput[layer] ?? WordDigest()
      digest.add(gradient, on: threads)
      byInput[layer] = digest
    }
  }
}
