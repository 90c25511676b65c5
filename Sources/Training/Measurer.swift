import Digests
import NestedLearning
import WireProtocol

/// Adds up a measurement, step by step.
package struct Measurer: Sendable {
  package let measurement: MeasuredQuantity
  /// The module of each parameter.
  private let modules: [String: String]
  private var steps = 0
  /// By module, the sum over steps of ‖g‖₂/√elements.
  private var norms: [String: Double] = [:]
  private var squares: GradientSums = [:]
  /// Losses of tokens; or ids of texts, each up to the longest there may be.
  private var numbers: [Float] = []
  private let textLength: Int
  /// Over all that was taken: for whoever compares.
  package private(set) var digest = ""

  /// - Parameters:
  ///   - modules: of each parameter, by its name
  ///   - textLength: numbers that stand for a text
  package init(_ measurement: MeasuredQuantity, modules: [String: String], textLength: Int = 1) {
    self.textLength = textLength
    self.measurement = measurement
    self.modules = modules
  }

  package var values: MeasuredValues {
    switch measurement {
    case .importance: .importance(norms.mapValues { $0 / Double(max(1, steps)) })
    case .tokenLosses: .tokenLosses(numbers)
    case .texts: .texts(texts)
    case .squaredGradients: .squaredGradients(squares)
    }
  }

  /// Takes a step's sums over its micro-batches, by the fixed tree.
  package mutating func take(_ sums: consuming GradientSums, trainedTokens: Int) throws {
    steps += 1
    addToDigest { digest in
      for name in sums.keys.sortedByBytes() {
        digest.update("\(name)\n")
        digest.update(floats: sums[name] ?? [])
      }
    }
    guard measurement == .importance else {
      guard !squares.isEmpty else {
        squares = sums
        return
      }
      return try ReductionTree.add(sums, to: &squares)
    }
    var totals: [String: (square: Double, count: Int)] = [:]
    for name in sums.keys.sortedByBytes() {
      guard let module = modules[name], var gradient = sums[name] else { continue }
      Vectors.divide(&gradient, by: Float(trainedTokens))
      totals[module, default: (0, 0)].square += Vectors.sumOfSquares(gradient)
      totals[module]?.count += gradient.count
    }
    for (module, total) in totals {
      norms[module, default: 0] += (total.square / Double(total.count)).squareRoot()
    }
  }

  private var texts: [[Int32]] {
    stride(from: 0, to: numbers.count, by: textLength).map { start in
      numbers[start..<min(start + textLength, numbers.count)].prefix { $0 >= 0 }.map { Int32($0) }
    }
  }

  /// Takes what a step's micro-batches have each given by itself, in their order.
  package mutating func take(numbers more: [Float]) {
    steps += 1
    addToDigest { $0.update(floats: more) }
    numbers += more
  }

  private mutating func addToDigest(_ add: (inout DigestBuilder) -> Void) {
    var builder = DigestBuilder()
    builder.update("\(measurement.rawValue) \(steps) \(digest)\n")
    add(&builder)
    digest = builder.finish()
  }
}

extension DigestBuilder {
  fileprivate mutating func update(floats: [Float]) { floats.withUnsafeBytes { update($0) } }
}
