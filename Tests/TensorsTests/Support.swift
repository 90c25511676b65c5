import Foundation
import Harness
import Testing

@testable import Tensors

/// A tape with its memory and threads, and numbers to feed it.
struct Bench {
  let tape: Tape
  var random: SplitMix64

  init(seed: UInt64, threads: Int = 2) throws {
    tape = Tape(threads: try ThreadPool(threads: threads), memory: try MemoryPool())
    random = SplitMix64(seed: seed)
  }

  mutating func floats(_ count: Int, _ range: ClosedRange<Float> = -1...1) -> [Float] {
    (0..<count).map { _ in Float.random(in: range, using: &random) }
  }

  /// A variable with the given values that wants a gradient.
  func variable(_ shape: [Int], _ values: [Float]) throws -> Variable {
    Variable(try tape.memory.tensor(shape, values), gradient: Gradient(shape: shape))
  }

  /// Σ weights·y, sent back.
  func backward(_ y: Variable, weights: [Float]) throws {
    try tape.backward(from: y, seed: try tape.memory.tensor(y.shape, weights))
  }
}

extension Variable {
  func gradientValues() throws -> [Float] { try #require(gradient?.tensor).values }
}

func doubles(_ values: [Float]) -> [Double] { values.map(Double.init) }

/// ‖a − b‖/‖b‖.
func relativeError(_ a: [Float], _ b: [Double]) -> Double {
  precondition(a.count == b.count)
  let difference = zip(a, b).reduce(0) { $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1) }
  return (difference / b.reduce(0) { $0 + $1 * $1 }).squareRoot()
}

/// Holds gradients against central differences (f(x+h) − f(x−h))/2h of a formula in Double. Their own error is
/// about h² = 1e-8 of the third derivative, so what is left is the rounding of f32.
func expectDerivatives(
  of formula: ([[Double]]) -> Double, at inputs: [[Float]], are gradients: [[Float]],
  within tolerance: Double,
  _ seed: UInt64, sourceLocation: SourceLocation = #_sourceLocation
) {
  let h = 1e-4
  for (which, gradient) in gradients.enumerated() {
    var point = inputs.map(doubles)
    var expected: [Double] = []
    for j in gradient.indices {
      let x = point[which][j]
      point[which][j] = x + h
      let above = formula(point)
      point[which][j] = x - h
      let below = formula(point)
      point[which][j] = x
      expected.append((above - below) / (2 * h))
    }
    let error = relativeError(gradient, expected)
    #expect(error < tolerance, "input \(which), seed \(seed)", sourceLocation: sourceLocation)
  }
}

func weightedSum(_ values: [Double], _ weights: [Float]) -> Double {
  zip(values, weights).reduce(0) { $0 + $1.0 * Double($1.1) }
}

extension Bench {
  /// Cosines and sines of position · θ^(−2i/dim), from the formula.
  func rotationTables(positions: Int, dim: Int, theta: Double) throws -> RotationTables {
    let angles = (0..<positions).flatMap { position in
      (0..<dim / 2).map { Double(position) * pow(theta, -2 * Double($0) / Double(dim)) }
    }
    return RotationTables(
      cosines: try tape.memory.tensor([positions, dim / 2], angles.map { Float(cos($0)) }),
      sines: try tape.memory.tensor([positions, dim / 2], angles.map { Float(sin($0)) }))
  }
}
