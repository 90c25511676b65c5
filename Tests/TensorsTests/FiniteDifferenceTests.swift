import Foundation
import Testing

@testable import Tensors

/// Every backward pass against finite differences of `Formula` in Double.
@Suite struct FiniteDifferenceTests {
  static let tolerance = 1e-6

  @Test(arguments: [UInt64(1), 2, 3]) func linearWithBiasAndLoRA(seed: UInt64) throws {
    var bench = try Bench(seed: seed)
    let (m, n, k, rank, scale) = (7, 5, 9, 3, Float(1.5))
    let inputs = [m * k, n * k, n, rank * k, rank * n].map { bench.floats($0) }
    let shapes = [[m, k], [n, k], [n], [rank, k], [rank, n]]
    let variables = try zip(shapes, inputs).map { try bench.variable($0, $1) }
    let weights = bench.floats(m * n)
    let y = try bench.tape.linear(
      variables[0], Matrix(variables[1]), bias: variables[2],
      lora: LoRA(a: variables[3], b: variables[4], scale: scale))
    try bench.backward(y, weights: weights)
    func formula(_ v: [[Double]]) -> [Double] {
      Formula.linear(v[0], v[1], bias: v[2], a: v[3], b: v[4], scale: Double(scale), m: m, n: n, k: k)
    }
    #expect(relativeError(y.tensor.values, formula(inputs.map(doubles))) < Self.tolerance)
    expectDerivatives(
      of: { weightedSum(formula($0), weights) }, at: inputs,
      are: try variables.map { try $0.gradientValues() },
      within: Self.tolerance, seed)
  }

  /// Dropout's mask is read off dropout(1); with it the formula is that of a LoRA on mask·x beside w·x.
  @Test func linearWithDropout() throws {
    var bench = try Bench(seed: 4)
    let (m, n, k, rank, scale) = (6, 5, 16, 2, Float(2))
    let places = TokenPlaces(rows: [0, 0, 0, 1, 1, 1], positions: [0, 1, 2, 0, 1, 2])
    let dropout = Dropout(probability: 0.25, key: 99, site: 3, tokens: places)
    let ones = try bench.tape.memory.tensor([m, k], [Float](repeating: 1, count: m * k))
    Kernel.dropout(bench.tape.threads, ones, dropout, into: ones)
    let mask = doubles(ones.values)
    let kept = mask.filter { $0 > 0 }
    #expect(kept.count > m * k / 2 && kept.count < m * k)
    #expect(kept.allSatisfy { $0 == Double(Float(1) / Float(0.75)) })

    let inputs = [m * k, rank * k, rank * n].map { bench.floats($0) }
    let frozen = bench.floats(n * k)
    let variables = try zip([[m, k], [rank, k], [rank, n]], inputs).map { try bench.variable($0, $1) }
    let weight = Matrix(Variable(try bench.tape.memory.tensor([n, k], frozen)))
    let weights = bench.floats(m * n)
    let y = try bench.tape.linear(
      variables[0], weight, lora: LoRA(a: variables[1], b: variables[2], scale: scale, dropout: dropout))
    try bench.backward(y, weights: weights)
    func formula(_ v: [[Double]]) -> [Double] {
      let base = Formula.product(v[0], timesTransposed: doubles(frozen), m: m, n: n, k: k)
      let dropped = zip(v[0], mask).map { $0 * $1 }
      let nothing = [Double](repeating: 0, count: n * k)
      let path = Formula.linear(
        dropped, nothing, bias: [Double](repeating: 0, count: n), a: v[1], b: v[2], scale: Double(scale),
        m: m,
        n: n, k: k)
      return zip(base, path).map { $0 + $1 }
    }
    #expect(relativeError(y.tensor.values, formula(inputs.map(doubles))) < Self.tolerance)
    expectDerivatives(
      of: { weightedSum(formula($0), weights) }, at: inputs,
      are: try variables.map { try $0.gradientValues() },
      within: Self.tolerance, 4)
  }

  @Test(arguments: [UInt64(5), 6]) func rmsNorm(seed: UInt64) throws {
    var bench = try Bench(seed: seed)
    let (m, n, epsilon) = (5, 70, Float(1e-5))
    let inputs = [bench.floats(m * n), bench.floats(n, 0.5...1.5)]
    let variables = [try bench.variable([m, n], inputs[0]), try bench.variable([n], inputs[1])]
    let weights = bench.floats(m * n)
    let y = try bench.tape.rmsNorm(variables[0], weight: variables[1], epsilon: epsilon)
    try bench.backward(y, weights: weights)
    expectDerivatives(
      of: { weightedSum(Formula.rmsNorm($0[0], $0[1], epsilon: Double(epsilon)), weights) }, at: inputs,
      are: try variables.map { try $0.gradientValues() }, within: Self.tolerance, seed)
  }

  @Test func gatedLinear() throws {
    var bench = try Bench(seed: 7)
    let (m, n, k, rank) = (5, 6, 10, 2)
    let inputs = [
      bench.floats(m * k, -4...4), bench.floats(m * k), bench.floats(n * k), bench.floats(rank * k),
      bench.floats(rank * n),
    ]
    let shapes = [[m, k], [m, k], [n, k], [rank, k], [rank, n]]
    let variables = try zip(shapes, inputs).map { try bench.variable($0, $1) }
    let weights = bench.floats(m * n)
    let y = try bench.tape.gatedLinear(
      gate: variables[0], up: variables[1], Matrix(variables[2]),
      lora: LoRA(a: variables[3], b: variables[4], scale: 0.5))
    try bench.backward(y, weights: weights)
    func formula(_ v: [[Double]]) -> [Double] {
      Formula.linear(
        Formula.swiGLU(v[0], v[1]), v[2], bias: [Double](repeating: 0, count: n), a: v[3], b: v[4],
        scale: 0.5,
        m: m, n: n, k: k)
    }
    #expect(relativeError(y.tensor.values, formula(inputs.map(doubles))) < Self.tolerance)
    expectDerivatives(
      of: { weightedSum(formula($0), weights) }, at: inputs,
      are: try variables.map { try $0.gradientValues() },
      within: Self.tolerance, 7)
  }

  @Test func rope() throws {
    var bench = try Bench(seed: 8)
    let (heads, dim, theta) = (3, 8, 100.0)
    let positions = [0, 1, 2, 5, 0, 7]
    let input = bench.floats(positions.count * heads * dim)
    let x = try bench.variable([positions.count, heads, dim], input)
    let weights = bench.floats(input.count)
    let y = try bench.tape.rope(
      x, positions: positions.map(Int32.init),
      tables: try bench.rotationTables(positions: 8, dim: dim, theta: theta))
    try bench.backward(y, weights: weights)
    #expect(x.tensor.values == input, "a buffer that somebody holds is not turned in place")
    expectDerivatives(
      of: {
        weightedSum(Formula.rope($0[0], positions: positions, heads: heads, dim: dim, theta: theta), weights)
      },
      at: [input], are: [try x.gradientValues()], within: Self.tolerance, 8)
  }

  @Test(arguments: [nil, 3]) func attention(window: Int?) throws {
    var bench = try Bench(seed: 9)
    let layout = Formula.Heads(offsets: [0, 5, 6, 13], heads: 4, keyValueHeads: 2, dim: 6, window: window)
    let tokens = 13
    let inputs = [4, 2, 2].map { bench.floats(tokens * $0 * 6, -2...2) }
    let variables = try zip([4, 2, 2], inputs).map { try bench.variable([tokens, $0, 6], $1) }
    let weights = bench.floats(tokens * 4 * 6)
    let offsets = layout.offsets.map(Int32.init)
    let o = try bench.tape.attention(
      q: variables[0], k: variables[1], v: variables[2],
      layout: AttentionLayout(
        queryOffsets: offsets, keyOffsets: offsets, heads: 4, keyValueHeads: 2, dimension: 6, window: window))
    try bench.backward(o, weights: weights)
    #expect(
      relativeError(
        o.tensor.values, Formula.attention(doubles(inputs[0]), doubles(inputs[1]), doubles(inputs[2]), layout)
      )
        < Self.tolerance)
    expectDerivatives(
      of: { weightedSum(Formula.attention($0[0], $0[1], $0[2], layout), weights) }, at: inputs,
      are: try variables.map { try $0.gradientValues() }, within: Self.tolerance, 9)
  }

  /// The table is used twice, as embedding and as head, as with tied embeddings.
  @Test func tiedEmbeddingAndLoss() throws {
    var bench = try Bench(seed: 10)
    let (vocabulary, n) = (11, 6)
    let ids = [3, 1, 3, 10, 0]
    let trained = [0, 1, 3]
    let labels = [1, 3, 0]
    let input = bench.floats(vocabulary * n, -2...2)
    let variable = try bench.variable([vocabulary, n], input)
    let table = Matrix(variable)
    let embedded = try bench.tape.embedding(ids.map(Int32.init), table: table)
    let rows = try bench.tape.gatherRows(embedded, trained.map(Int32.init))
    let loss = try bench.tape.crossEntropy(rows, head: table, labels: labels.map(Int32.init))
    try bench.tape.backward()
    func formula(_ v: [[Double]]) -> Double {
      let rows = trained.flatMap { v[0][ids[$0] * n..<(ids[$0] + 1) * n] }
      return Formula.crossEntropy(rows, head: v[0], labels: labels, n: n)
    }
    #expect(abs(loss - formula([doubles(input)])) < 1e-6 * loss)
    expectDerivatives(
      of: formula, at: [input], are: [try variable.gradientValues()], within: Self.tolerance, 10)
  }

  /// More rows than a chunk of the head: 128 and the rest.
  @Test func lossOverSeveralChunks() throws {
    var bench = try Bench(seed: 11)
    let (rows, vocabulary, n) = (Tape.headChunk + 5, 7, 4)
    let inputs = [bench.floats(rows * n, -2...2), bench.floats(vocabulary * n, -2...2)]
    let x = try bench.variable([rows, n], inputs[0])
    let head = try bench.variable([vocabulary, n], inputs[1])
    let labels = (0..<rows).map { $0 * 5 % vocabulary }
    let loss = try bench.tape.crossEntropy(x, head: Matrix(head), labels: labels.map(Int32.init))
    func formula(_ v: [[Double]]) -> Double {
      Formula.crossEntropy(v[0], head: v[1], labels: labels, n: n)
    }
    #expect(abs(loss - formula(inputs.map(doubles))) < 1e-6 * loss)
    expectDerivatives(
      of: formula, at: inputs, are: [try x.gradientValues(), try head.gradientValues()],
      within: Self.tolerance, 11)
  }

  /// A head of a task: gelu, dropout, and the weighted losses of logits that exist as a whole; in f32 on a tape that is not.
  @Test func scoresOfATask() throws {
    var bench = try Bench(seed: 13)
    let (m, n, k) = (5, 3, 8)
    let inputs = [bench.floats(m * k, -2...2), bench.floats(n * k), bench.floats(n)]
    let x = try bench.variable([m, k], inputs[0])
    let (weight, bias) = (try bench.variable([n, k], inputs[1]), try bench.variable([n], inputs[2]))
    let places = TokenPlaces(rows: [0, 0, 1, 1, 2], positions: [3, 4, 0, 6, 2])
    let dropout = Dropout(probability: 0.25, key: 7, site: .max, tokens: places)
    let ones = try bench.tape.memory.tensor([m, k], [Float](repeating: 1, count: m * k))
    Kernel.dropout(bench.tape.threads, ones, dropout, into: ones)
    let mask = doubles(ones.values)
    let labels: [Int32] = [0, 2, 1, 1, 0]
    let factors: [Float] = [1, 0.5, 2, 0, 3]
    let dropped = try bench.tape.dropout(bench.tape.gelu(x), dropout)
    let logits = try bench.tape.linear(dropped, Matrix(weight, inF32: true), bias: bias)
    let losses = try bench.tape.crossEntropy(logits, labels: labels, factors: factors)
    try bench.tape.backward()
    func formula(_ v: [[Double]]) -> [Double] {
      let hidden = zip(v[0], mask).map { $1 * $0 * 0.5 * (1 + erf($0 / 2.0.squareRoot())) }
      let z = Formula.product(hidden, timesTransposed: v[1], m: m, n: n, k: k)
      return (0..<m).map { row in
        let scores = (0..<n).map { z[row * n + $0] + v[2][$0] }
        return log(scores.reduce(0) { $0 + exp($1) }) - scores[Int(labels[row])]
      }
    }
    for (loss, wanted) in zip(losses, formula(inputs.map(doubles))) { #expect(abs(loss - wanted) < 2e-6) }
    expectDerivatives(
      of: { zip(formula($0), factors).reduce(0) { $0 + Double($1.1) * $1.0 } }, at: inputs,
      are: [try x.gradientValues(), try weight.gradientValues(), try bias.gradientValues()], within: 3e-6, 13)
    // What a kernel leaves where the logits were is not seen by who still has them.
    #expect(logits.tensor.values.count == m * n)
    let again = try bench.tape.crossEntropy(
      Variable(logits.tensor), labels: labels, factors: factors)
    #expect(again == losses)
  }

  /// What a discriminator sees: the mean of each row's states, whose gradient goes back times a factor, and ReLU behind it. An
  /// adversary without reversal would have the factor 1.
  @Test func reversedMeans() throws {
    var bench = try Bench(seed: 14)
    let (offsets, n): ([Int32], Int) = ([0, 3, 4, 9], 5)
    let input = bench.floats(9 * n, -2...2)
    let x = try bench.variable([9, n], input)
    let y = try bench.tape.relu(bench.tape.meanOfRows(x, offsets: offsets, gradientTimes: -0.75))
    let weights = bench.floats(3 * n)
    try bench.backward(y, weights: weights)
    func formula(_ x: [Double]) -> [Double] {
      zip(offsets, offsets.dropFirst()).flatMap { from, to in
        (0..<n).map { column in
          max((from..<to).reduce(0) { $0 + x[Int($1) * n + column] } / Double(to - from), 0)
        }
      }
    }
    #expect(relativeError(y.tensor.values, formula(doubles(input))) < Self.tolerance)
    expectDerivatives(
      of: { -0.75 * weightedSum(formula($0[0]), weights) }, at: [input], are: [try x.gradientValues()],
      within: Self.tolerance, 14)
  }

  /// A scale and a shift for some rows, another pair for others, none for the rest.
  @Test func scaledRows() throws {
    var bench = try Bench(seed: 15)
    let (m, n) = (6, 7)
    let inputs = [bench.floats(m * n)] + (0..<4).map { _ in bench.floats(n, 0.5...1.5) }
    let x = try bench.variable([m, n], inputs[0])
    let pairs = try inputs.dropFirst().map { try bench.variable([n], $0) }
    let parts: [[Int32]] = [[0, 3], [1, 2, 5]]
    let y = try bench.tape.scaleRows(
      x, (0..<2).map { RowScaling(rows: parts[$0], scale: pairs[2 * $0], shift: pairs[2 * $0 + 1]) })
    let weights = bench.floats(m * n)
    try bench.backward(y, weights: weights)
    func formula(_ v: [[Double]]) -> [Double] {
      (0..<m * n).map { place in
        guard let part = parts.firstIndex(where: { $0.contains(Int32(place / n)) }) else {
          return v[0][place]
        }
        return v[0][place] * v[1 + 2 * part][place % n] + v[2 + 2 * part][place % n]
      }
    }
    #expect(relativeError(y.tensor.values, formula(inputs.map(doubles))) < Self.tolerance)
    expectDerivatives(
      of: { weightedSum(formula($0), weights) }, at: inputs,
      are: try [x.gradientValues()] + pairs.map { try $0.gradientValues() }, within: Self.tolerance, 15)
  }

  /// y = f(x) + x with f in between: both sides of the sum receive one buffer, and f's share is added to a copy.
  @Test func residual() throws {
    var bench = try Bench(seed: 12)
    let (m, n) = (4, 8)
    let inputs = [bench.floats(m * n), bench.floats(n, 0.5...1.5)]
    let x = try bench.variable([m, n], inputs[0])
    let w = try bench.variable([n], inputs[1])
    let normed = try bench.tape.rmsNorm(x, weight: w, epsilon: 1e-6)
    let y = try bench.tape.add(x, normed)
    let weights = bench.floats(m * n)
    try bench.backward(y, weights: weights)
    expectDerivatives(
      of: { v in
        let normed = Formula.rmsNorm(v[0], v[1], epsilon: 1e-6)
        return weightedSum(zip(v[0], normed).map { $0 + $1 }, weights)
      }, at: inputs, are: [try x.gradientValues(), try w.gradientValues()], within: Self.tolerance, 12)
  }
}
