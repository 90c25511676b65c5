/// What holds parameters where training began: c(θ − θ_start) is added to the gradients that are about to be applied,
/// before clipping, with c = λ_EWC·F + λ_L2SP.
///
/// F is the diagonal of the Fisher information (Kirkpatrick et al., 2017, arXiv 1612.00796), divided by its mean over all
/// elements, so that λ does not depend on the scale of losses; with c = λ it is L2-SP (Li et al., 2018, arXiv 1802.01483).
/// Each operation is rounded to f32 by itself.
public struct WeightPenalty: Sendable, Equatable {
  /// θ_start, by parameter.
  private let start: [String: [Float]]
  /// c, by parameter; empty where it is `uniform` everywhere.
  private let factors: [String: [Float]]
  private let uniform: Float

  /// - Parameters:
  ///   - start: by parameter
  ///   - squares: by parameter, sums of squared gradients over rows, for `ewc_lambda`; how many rows they are of has no
  ///     influence
  /// - Returns: nil if the config asks for none.
  public init?(config: NestedLearningConfig, start: [String: [Float]], squares: [String: [Float]]?) {
    guard config.ewcLambda > 0 || config.l2spLambda > 0 else { return nil }
    self.start = start
    uniform = Float(config.l2spLambda)
    guard config.ewcLambda > 0, let squares else {
      factors = [:]
      return
    }
    let (lambda, uniform) = (Float(config.ewcLambda), uniform)
    let mean = Self.mean(of: squares)
    factors = squares.mapValues { values in
      values.map { lambda * (mean > 0 ? Float(Double($0) / mean) : 0) + uniform }
    }
  }

  /// Over all elements, in Double: parameters by the UTF-8 bytes of their names.
  private static func mean(of squares: [String: [Float]]) -> Double {
    var (sum, count) = (0.0, 0)
    for name in squares.keys.sortedByBytes() {
      for value in squares[name] ?? [] { sum += Double(value) }
      count += squares[name]?.count ?? 0
    }
    return count > 0 ? sum / Double(count) : 0
  }

  /// Adds c(θ − θ_start) to gradients.
  func add(to gradients: inout GradientSums, parameters: [String: [Float]]) {
    for name in gradients.keys {
      guard let values = parameters[name], let start = start[name] else { continue }
      let factors = factors[name]
      gradients[name]?.withUnsafeMutableBufferPointer { gradient in
        for i in gradient.indices {
          gradient[i] += (factors?[i] ?? uniform) * (values[i] - start[i])
        }
      }
    }
  }

  /// ½·Σ c(θ − θ_start)² over all parameters, in Double.
  public func value(of parameters: [String: [Float]]) -> Double {
    var sum = 0.0
    for name in parameters.keys.sortedByBytes() {
      guard let values = parameters[name], let start = start[name] else { continue }
      let factors = factors[name]
      for i in values.indices {
        let distance = Double(values[i]) - Double(start[i])
        sum += Double(factors?[i] ?? uniform) * distance * distance
      }
    }
    return sum / 2
  }
}
