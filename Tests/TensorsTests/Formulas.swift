import Foundation

/// The operations once more, in Double and straight from their formulas, as the reference of the tests.
/// Matrices are row-major; nothing here is shared with the code under test.
enum Formula {
  /// x [m,k] · wᵀ, w [n,k].
  static func product(_ x: [Double], timesTransposed w: [Double], m: Int, n: Int, k: Int) -> [Double] {
    var y = [Double](repeating: 0, count: m * n)
    for i in 0..<m {
      for j in 0..<n {
        for c in 0..<k { y[i * n + j] += x[i * k + c] * w[j * k + c] }
      }
    }
    return y
  }

  /// x·wᵀ + bias + s·(x·aᵀ)·b with a [r,k], b [r,n].
  static func linear(
    _ x: [Double], _ w: [Double], bias: [Double], a: [Double], b: [Double], scale: Double, m: Int, n: Int,
    k: Int
  ) -> [Double] {
    let rank = a.count / k
    var y = product(x, timesTransposed: w, m: m, n: n, k: k)
    let hidden = product(x, timesTransposed: a, m: m, n: rank, k: k)
    for i in 0..<m {
      for j in 0..<n {
        y[i * n + j] += bias[j]
        for r in 0..<rank { y[i * n + j] += scale * hidden[i * rank + r] * b[r * n + j] }
      }
    }
    return y
  }

  static func rmsNorm(_ x: [Double], _ w: [Double], epsilon: Double) -> [Double] {
    let n = w.count
    var y = x
    for row in 0..<x.count / n {
      let values = x[row * n..<(row + 1) * n]
      let scale = 1 / (values.reduce(0) { $0 + $1 * $1 } / Double(n) + epsilon).squareRoot()
      for i in 0..<n { y[row * n + i] = w[i] * x[row * n + i] * scale }
    }
    return y
  }

  static func swiGLU(_ gate: [Double], _ up: [Double]) -> [Double] {
    zip(gate, up).map { $0 / (1 + exp(-$0)) * $1 }
  }

  /// The pair (x[i], x[i + dim/2]) turned by position · θ^(−2i/dim).
  static func rope(_ x: [Double], positions: [Int], heads: Int, dim: Int, theta: Double) -> [Double] {
    var y = x
    let half = dim / 2
    for (t, position) in positions.enumerated() {
      for head in 0..<heads {
        for i in 0..<half {
          let angle = Double(position) * pow(theta, -2 * Double(i) / Double(dim))
          let at = (t * heads + head) * dim + i
          y[at] = x[at] * cos(angle) - x[at + half] * sin(angle)
          y[at + half] = x[at + half] * cos(angle) + x[at] * sin(angle)
        }
      }
    }
    return y
  }

  struct Heads {
    var offsets: [Int]
    var heads: Int
    var keyValueHeads: Int
    var dim: Int
    var window: Int?
  }

  /// softmax(q·kᵀ/√dim)·v, causal, each sequence by itself.
  static func attention(_ q: [Double], _ k: [Double], _ v: [Double], _ layout: Heads) -> [Double] {
    let (heads, dim) = (layout.heads, layout.dim)
    var o = [Double](repeating: 0, count: q.count)
    for (begin, end) in zip(layout.offsets, layout.offsets.dropFirst()) {
      for t in begin..<end {
        for head in 0..<heads {
          let group = head / (heads / layout.keyValueHeads)
          let first = max(begin, layout.window.map { t - $0 + 1 } ?? begin)
          func key(_ u: Int) -> Int { (u * layout.keyValueHeads + group) * dim }
          let query = (t * heads + head) * dim
          let weights = (first...t).map { u in
            exp((0..<dim).reduce(0) { $0 + q[query + $1] * k[key(u) + $1] } / Double(dim).squareRoot())
          }
          let total = weights.reduce(0, +)
          for (u, weight) in zip(first...t, weights) {
            for c in 0..<dim { o[query + c] += weight / total * v[key(u) + c] }
          }
        }
      }
    }
    return o
  }

  /// Σ_t (log Σ_v e^(x_t·head_v) − x_t·head_label).
  static func crossEntropy(_ x: [Double], head: [Double], labels: [Int], n: Int) -> Double {
    let vocabulary = head.count / n
    let logits = product(x, timesTransposed: head, m: labels.count, n: vocabulary, k: n)
    return labels.enumerated().reduce(0) { sum, entry in
      let row = logits[entry.offset * vocabulary..<(entry.offset + 1) * vocabulary]
      return sum + log(row.reduce(0) { $0 + exp($1) }) - logits[entry.offset * vocabulary + entry.element]
    }
  }
}
