import Kernels
import Testing

extension ISASuite {
  /// What `body` returns, after it gave the same bits in every instruction set of this CPU, without a pool and with
  /// pools of 1 to 5 threads.
  static func sameBits(_ body: (_ pool: OpaquePointer?) -> [Float]) -> [Float] {
    var first: [Float]?
    inEach { isa in
      // The baseline is slow: it divides the work by the same code, so two numbers of threads will do there.
      for threads in isa == NL_ISA_BASELINE ? [0, 3] : [0, 1, 2, 3, 4, 5] {
        let pool = threads == 0 ? nil : nl_pool_create(Int32(threads))
        defer { if let pool { nl_pool_destroy(pool) } }
        let result = body(pool)
        if let first {
          let differing = zip(result, first).count { $0.bitPattern != $1.bitPattern }
          #expect(
            differing == 0 && result.count == first.count,
            "\(String(cString: nl_isa_name(isa))) with \(threads) threads")
        } else {
          first = result
        }
      }
    }
    return first ?? []
  }
}

/// ‖a − b‖ / ‖b‖
func relativeError(_ a: [Float], _ b: [Double]) -> Double {
  guard a.count == b.count else { return .infinity }
  var difference = 0.0
  var norm = 0.0
  for (x, y) in zip(a, b) {
    difference += (Double(x) - y) * (Double(x) - y)
    norm += y * y
  }
  return norm == 0 ? difference.squareRoot() : (difference / norm).squareRoot()
}

/// The gradient of `f` at `x` by central differences; the error is about 1e-9 of the values of `f`.
func finiteDifferences(at x: [Double], of f: ([Double]) -> Double) -> [Double] {
  x.indices.map { i in
    var moved = x
    let h = 1e-5
    moved[i] = x[i] + h
    let above = f(moved)
    moved[i] = x[i] - h
    return (above - f(moved)) / (2 * h)
  }
}

func doubles(_ x: [Float]) -> [Double] { x.map(Double.init) }
func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }
