import Kernels
import Randomness

extension ContinuumMemoryShape {
  /// What training begins with: each number uniform in ±1/√in of its linear map, as PyTorch begins its linear layers.
  public func initialValues(seed: UInt64) -> [String: [Float]] {
    var values: [String: [Float]] = [:]
    for (number, parameter) in parameters.enumerated() {
      let inputs = parameter.name.contains(".0.") ? width : inner
      let key = RandomKey(.memoryWeights, seed: seed, UInt32(number))
      values[parameter.name] = Self.uniform(
        count: parameter.shape.reduce(1, *), key, bound: 1 / Double(inputs).squareRoot())
    }
    return values
  }

  /// Multiples of bound·2⁻²³ in [−bound, bound).
  private static func uniform(count: Int, _ key: RandomKey, bound: Double) -> [Float] {
    var values: [Float] = []
    values.reserveCapacity(count + 3)
    for block in 0..<(count + 3) / 4 {
      let words = key.block(UInt64(block))
      for i in 0..<4 { values.append(Float((Double(words[i] >> 8) * 0x1p-23 - 1) * bound)) }
    }
    values.removeLast(values.count - count)
    return values
  }

  /// The vector that a number stands for: `width` numbers of the normal distribution, two for each pair of blocks, by the
  /// transform of Box and Muller (1958).
  func vector(_ number: Int32, seed: UInt64) -> [Float] {
    let key = RandomKey(.memoryVectors, seed: seed, UInt32(bitPattern: number))
    var values: [Float] = []
    values.reserveCapacity(width + 1)
    for pair in 0..<UInt64((width + 1) / 2) {
      let radius = (-2 * nl_log(1 - key.unit(2 * pair))).squareRoot()
      let angle = 2 * Double.pi * key.unit(2 * pair + 1)
      values.append(Float(radius * nl_cos(angle)))
      values.append(Float(radius * nl_sin(angle)))
    }
    values.removeLast(values.count - width)
    return values
  }
}
