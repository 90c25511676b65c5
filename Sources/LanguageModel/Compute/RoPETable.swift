import Kernels
import Tensors

/// The rotation angles of a model, as tables that grow with the longest sequence seen.
final class RoPETable {
  /// One for each pair of channels, dim/2 in all.
  let frequencies: [Float]
  private let memory: MemoryPool
  private var tables: RotationTables?

  init(configuration: ModelConfiguration, memory: MemoryPool) {
    frequencies = Self.frequencies(configuration)
    self.memory = memory
  }

  /// θ^(−2i/dim), scaled, rounded to f32 as the models' own code keeps them.
  static func frequencies(_ configuration: ModelConfiguration) -> [Float] {
    let dimension = configuration.headDimension
    return (0..<dimension / 2).map { i in
      let frequency = 1 / nl_pow(configuration.ropeTheta, Double(2 * i) / Double(dimension))
      return Float(configuration.ropeScaling.scaled(frequency))
    }
  }

  /// Tables for at least the given number of positions. Call it before a computation takes memory, so that a
  /// larger table does not come to lie between short-lived tensors.
  func tables(positions: Int) throws(TensorError) -> RotationTables {
    if let tables, tables.positions >= positions { return tables }
    tables = nil
    var capacity = 128
    while capacity < positions { capacity *= 2 }
    let made = try make(positions: capacity)
    tables = made
    return made
  }

  /// The angle is the f32 product position · frequency, as transformers computes it and the models were
  /// trained; its cosine and sine are exact to the last bit of f32.
  private func make(positions: Int) throws(TensorError) -> RotationTables {
    let shape = [positions, frequencies.count]
    let (cosines, sines) = (try memory.tensor(shape), try memory.tensor(shape))
    cosines.withMutableValues { cosines in
      sines.withMutableValues { sines in
        var at = 0
        for position in 0..<positions {
          for frequency in frequencies {
            let angle = Double(Float(position) * frequency)
            cosines[at] = Float(nl_cos(angle))
            sines[at] = Float(nl_sin(angle))
            at += 1
          }
        }
      }
    }
    return RotationTables(cosines: cosines, sines: sines)
  }
}

extension RoPEScaling {
  /// A frequency after stretching; see the cases for the formulas.
  func scaled(_ frequency: Double) -> Double {
    switch self {
    case .none: return frequency
    case .linear(let factor): return frequency / factor
    case .llama3(let factor, let low, let high, let originalMaxPositions):
      let original = Double(originalMaxPositions)
      let wavelength = 2 * Double.pi / frequency
      if wavelength < original / high { return frequency }
      if wavelength > original / low { return frequency / factor }
      let s = (original / wavelength - low) / (high - low)
      return (1 - s) * frequency / factor + s * frequency
    }
  }
}
