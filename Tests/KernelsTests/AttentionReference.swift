import Foundation
import Harness
import Kernels

/// Sequences of queries and keys, and the shape they have in a call of the kernel.
struct AttentionCase: CustomStringConvertible {
  var queries: [Int]
  var keys: [Int]
  var heads: Int
  var keyHeads: Int
  var dim: Int
  var window = 0

  /// The query lengths, key lengths (absent: the same), heads/key heads, and the size of a head.
  init(_ queries: [Int], keys: [Int]? = nil, heads: Int, keyHeads: Int, dim: Int, window: Int = 0) {
    self.queries = queries
    self.keys = keys ?? queries
    self.heads = heads
    self.keyHeads = keyHeads
    self.dim = dim
    self.window = window
  }

  var description: String { "\(queries)/\(keys), heads \(heads)/\(keyHeads), dim \(dim), window \(window)" }
  var scale: Float { 1 / Float(dim).squareRoot() }
  var queryRows: Int { queries.reduce(0, +) }
  var keyRows: Int { keys.reduce(0, +) }
  var queryCount: Int { queryRows * heads * dim }
  var keyCount: Int { keyRows * keyHeads * dim }

  func withShape<R>(_ body: (UnsafePointer<nl_attention_shape>) -> R) -> R {
    func offsets(_ lengths: [Int]) -> [Int32] {
      lengths.reduce(into: [0]) { $0.append($0[$0.count - 1] + Int32($1)) }
    }
    return offsets(queries).withUnsafeBufferPointer { q in
      offsets(keys).withUnsafeBufferPointer { k in
        var shape = nl_attention_shape(
          sequences: queries.count, q_offsets: q.baseAddress, k_offsets: k.baseAddress, heads: heads,
          kv_heads: keyHeads, dim: dim, scale: scale, window: window)
        return body(&shape)
      }
    }
  }
}

/// Attention from its formula, in Double: for every query row and head, p = softmax(scale·q·kᵀ) over the keys it sees,
/// o = p·v; and backward dv = pᵀ·do, ds = p∘(do·vᵀ − Σ do∘o), dq = scale·ds·k, dk = scale·dsᵀ·q.
struct AttentionReference {
  let layout: AttentionCase
  var o: [Double]
  var rowMax: [Double]
  var rowSum: [Double]
  var dq: [Double]
  var dk: [Double]
  var dv: [Double]

  init(_ layout: AttentionCase, q: [Double], k: [Double], v: [Double], gradient: [Double]? = nil) {
    self.layout = layout
    o = .init(repeating: 0, count: layout.queryCount)
    dq = o
    rowMax = .init(repeating: 0, count: layout.queryRows * layout.heads)
    rowSum = rowMax
    dk = .init(repeating: 0, count: layout.keyCount)
    dv = dk
    var (query, key) = (0, 0)
    for (nq, nk) in zip(layout.queries, layout.keys) {
      for i in 0..<nq {
        for head in 0..<layout.heads {
          let last = i + nk - nq
          let first = layout.window > 0 ? max(0, last - layout.window + 1) : 0
          row(query + i, head, keys: (key + first)...(key + last), q: q, k: k, v: v, gradient: gradient)
        }
      }
      query += nq
      key += nk
    }
  }

  private mutating func row(
    _ row: Int, _ head: Int, keys: ClosedRange<Int>, q: [Double], k: [Double], v: [Double],
    gradient: [Double]?
  ) {
    let (dim, scale) = (layout.dim, Double(layout.scale))
    let at = (row * layout.heads + head) * dim
    let keyHead = head / (layout.heads / layout.keyHeads)
    func base(_ key: Int) -> Int { (key * layout.keyHeads + keyHead) * dim }
    let scores = keys.map { key in (0..<dim).reduce(0.0) { $0 + q[at + $1] * k[base(key) + $1] } * scale }
    let largest = scores.max() ?? 0
    let sum = scores.reduce(0) { $0 + exp($1 - largest) }
    rowMax[at / dim] = largest
    rowSum[at / dim] = sum
    let p = scores.map { exp($0 - largest) / sum }
    for (key, p) in zip(keys, p) {
      for d in 0..<dim { o[at + d] += p * v[base(key) + d] }
    }
    guard let gradient else { return }
    let delta = (0..<dim).reduce(0.0) { $0 + gradient[at + $1] * o[at + $1] }
    for (key, p) in zip(keys, p) {
      let dp = (0..<dim).reduce(0.0) { $0 + gradient[at + $1] * v[base(key) + $1] }
      let ds = p * (dp - delta)
      for d in 0..<dim {
        dv[base(key) + d] += p * gradient[at + d]
        dq[at + d] += scale * ds * k[base(key) + d]
        dk[base(key) + d] += scale * ds * q[at + d]
      }
    }
  }
}

/// Inputs and results of the kernel.
struct AttentionRun {
  let layout: AttentionCase
  var q, k, v, gradient: [Float]
  var o, rowMax, rowSum, dq, dk, dv: [Float]

  init(_ layout: AttentionCase, seed: UInt64, bound: Double = 2) {
    self.layout = layout
    var random = SplitMix64(seed: seed)
    q = random.floats(layout.queryCount, bound: bound)
    k = random.floats(layout.keyCount, bound: bound)
    v = random.floats(layout.keyCount, bound: bound)
    gradient = random.floats(layout.queryCount, bound: bound)
    o = .init(repeating: .nan, count: layout.queryCount)
    dq = o
    rowMax = .init(repeating: .nan, count: layout.queryRows * layout.heads)
    rowSum = rowMax
    dk = .init(repeating: .nan, count: layout.keyCount)
    dv = dk
  }

  mutating func forward(_ pool: OpaquePointer? = nil) {
    layout.withShape { nl_attention_forward(pool, $0, q, k, v, &o, &rowMax, &rowSum) }
  }
  mutating func backward(_ pool: OpaquePointer? = nil) {
    layout.withShape { nl_attention_backward(pool, $0, q, k, v, o, rowMax, rowSum, gradient, &dq, &dk, &dv) }
  }
}
