/// Loops over numbers, written so that the compiler makes vector instructions of them. Each result is rounded
/// once per operation: Swift does not contract a product and a sum into one.
public enum Vectors {
  /// y += x. Of two lengths, only the common part is added to.
  public static func add(_ x: [Float], to y: inout [Float]) {
    x.withUnsafeBufferPointer { add($0, to: &y) }
  }

  /// y += x. Of two lengths, only the common part is added to.
  public static func add(_ x: UnsafeBufferPointer<Float>, to y: inout [Float]) {
    y.withUnsafeMutableBufferPointer { add(x, to: $0) }
  }

  /// y += x. Of two lengths, only the common part is added to.
  public static func add(_ x: UnsafeBufferPointer<Float>, to y: UnsafeMutableBufferPointer<Float>) {
    for i in 0..<min(x.count, y.count) { y[i] += x[i] }
  }

  /// y *= s
  public static func scale(_ y: inout [Float], by s: Float) {
    y.withUnsafeMutableBufferPointer { y in
      for i in 0..<y.count { y[i] *= s }
    }
  }

  /// y /= s
  public static func divide(_ y: inout [Float], by s: Float) {
    y.withUnsafeMutableBufferPointer { y in
      for i in 0..<y.count { y[i] /= s }
    }
  }

  /// y += share·(x − y), each operation rounded. Of two lengths, only the common part is changed.
  static func move(_ y: inout [Float], towards x: [Float], share: Float) {
    x.withUnsafeBufferPointer { x in
      y.withUnsafeMutableBufferPointer { y in
        for i in 0..<min(x.count, y.count) { y[i] += share * (x[i] - y[i]) }
      }
    }
  }

  /// Each number times itself.
  public static func squares(_ x: [Float]) -> [Float] { x.map { $0 * $0 } }

  /// Whether no element is infinite or not a number.
  public static func isFinite(_ x: [Float]) -> Bool {
    x.withUnsafeBufferPointer { x in
      var largest: UInt32 = 0
      for value in x { largest = max(largest, value.bitPattern & 0x7FFF_FFFF) }
      return largest < 0x7F80_0000
    }
  }

  /// Σ x², in Double: 64 fixed lanes, element i in lane i mod 64, folded by halves.
  public static func sumOfSquares(_ x: [Float]) -> Double {
    withUnsafeTemporaryAllocation(of: Double.self, capacity: 64) { lanes in
      lanes.initialize(repeating: 0)
      x.withUnsafeBufferPointer { x in
        var start = 0
        while start < x.count {
          let width = min(64, x.count - start)
          for lane in 0..<width {
            let value = Double(x[start + lane])
            lanes[lane] += value * value
          }
          start += 64
        }
      }
      var width = 32
      while width > 0 {
        for lane in 0..<width { lanes[lane] += lanes[lane + width] }
        width /= 2
      }
      return lanes[0]
    }
  }
}

/// Gradients, or sums of them, by the names of parameters.
public typealias GradientSums = [String: [Float]]

extension ReductionTree {
  /// Adds the gradients of `more` to those of `sums`, name by name.
  ///
  /// - Throws: `GradientMismatch` if one has a name or a size that the other has not.
  public static func add(_ more: GradientSums, to sums: inout GradientSums) throws(GradientMismatch) {
    guard more.count == sums.count else {
      let lone = Set(more.keys).symmetricDifference(sums.keys).sortedByBytes().first ?? ""
      throw GradientMismatch(name: lone, reason: "is in one part of the sum and not in another")
    }
    for (name, gradient) in more {
      guard let count = sums[name]?.count else {
        throw GradientMismatch(name: name, reason: "is in one part of the sum and not in another")
      }
      guard count == gradient.count else {
        throw GradientMismatch(
          name: name, reason: "has \(count) numbers in one part and \(gradient.count) in another")
      }
    }
    for (name, gradient) in more { Vectors.add(gradient, to: &sums[name, default: []]) }
  }
}

/// Gradients that do not belong together.
public struct GradientMismatch: Error, Sendable, Equatable, CustomStringConvertible {
  public let name: String
  public let reason: String

  public var description: String { "the gradient of \(name) \(reason)" }
}
