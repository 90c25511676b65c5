import Digests
import Kernels
import NestedLearning
import Randomness
import Tensors
import WireProtocol

/// A small fixed computation that goes through every kernel of a step: one decoder layer with LoRA, biases, dropout and
/// grouped heads over two sequences, its loss and all gradients, with f32 and bf16 weights. Products reach a third block
/// of k in the feed-forward half, attention a second block of keys and of rows. Machines whose bits differ anywhere have
/// another digest.
package enum NumericProbe {
  private static let lengths = [70, 14]
  private static let tokens = 84
  private static let hidden = 96
  private static let heads = 6
  private static let keyValueHeads = 2
  private static let dimension = 16
  private static let inner = 560
  private static let vocabulary = 211
  private static let rank = 4

  /// The SHA-256 of the loss and all gradients, for numbers drawn from `seed`.
  package static func sha256(seed: UInt64, threads: ThreadPool, precision: Precision) throws -> String {
    var layer = try Layer(seed: seed, threads: threads, precision: precision)
    let loss = try layer.loss()
    try layer.tape.backward()
    var digest = DigestBuilder()
    withUnsafeBytes(of: loss.bitPattern.littleEndian) { digest.update($0) }
    for variable in layer.trained {
      guard let gradient = variable.gradient?.tensor else { continue }
      gradient.withValues { digest.update(UnsafeRawBufferPointer($0)) }
    }
    return digest.finish()
  }

  private struct Layer {
    let tape: Tape
    var random: CounterRandom
    var trained: [Variable] = []

    init(seed: UInt64, threads: ThreadPool, precision: Precision) throws {
      tape = Tape(threads: threads, memory: try MemoryPool(), precision: precision)
      random = CounterRandom(seed: seed, purpose: .probe)
    }

    /// Uniform in [−scale, scale), rounded to f32.
    private mutating func numbers(_ count: Int, _ scale: Double) -> [Float] {
      (0..<count).map { _ in Float((2 * random.unit() - 1) * scale) }
    }

    private mutating func parameter(_ shape: [Int], scale: Double) throws -> Variable {
      let count = shape.reduce(1, *)
      let variable = Variable(
        try tape.memory.tensor(shape, numbers(count, scale)), gradient: Gradient(shape: shape))
      trained.append(variable)
      return variable
    }

    /// A frozen matrix in bf16, whose upper halves of f32 are drawn.
    private mutating func frozen(_ rows: Int, _ columns: Int) -> Matrix {
      let storage = HalfWords(numbers(rows * columns, 0.3).map { UInt16($0.bitPattern >> 16) })
      return Matrix(
        frozen: UnsafeRawPointer(storage.start), type: .bf16, rows: rows, columns: columns, owner: storage)
    }

    private mutating func lora(_ columns: Int, _ rows: Int, site: UInt32) throws -> LoRA {
      let dropout = Dropout(probability: 0.1, key: random.next(), site: site, tokens: places)
      return LoRA(
        a: try parameter([rank, columns], scale: 0.2), b: try parameter([rank, rows], scale: 0.2), scale: 2,
        dropout: dropout)
    }

    private mutating func projection(
      _ x: Variable, _ rows: Int, site: UInt32, bias: Bool = false
    ) throws -> Variable {
      let columns = x.shape.last ?? 0
      let weight = frozen(rows, columns)
      let offset = bias ? try parameter([rows], scale: 0.1) : nil
      return try tape.linear(x, weight, bias: offset, lora: lora(columns, rows, site: site))
    }

    private var places: TokenPlaces {
      TokenPlaces(
        rows: lengths.enumerated().flatMap { [Int32](repeating: Int32($0), count: $1) },
        positions: lengths.flatMap { (0..<$0).map { Int32($0) } })
    }

    private func tables() throws -> RotationTables {
      let pairs = dimension / 2
      let angles = (0..<tokens).flatMap { position in
        (0..<pairs).map { Double(position) * nl_pow(10_000, -Double($0) / Double(pairs)) }
      }
      return RotationTables(
        cosines: try tape.memory.tensor([tokens, pairs], angles.map { Float(nl_cos($0)) }),
        sines: try tape.memory.tensor([tokens, pairs], angles.map { Float(nl_sin($0)) }))
    }

    private mutating func labels() -> [Int32] {
      (0..<tokens).map { _ in Int32(random.integer(below: vocabulary)) }
    }

    mutating func loss() throws -> Double {
      let table = Matrix(try parameter([vocabulary, hidden], scale: 1))
      let x = try tape.embedding(labels(), table: table)
      let attended = try tape.add(
        x, attention(tape.rmsNorm(x, weight: parameter([hidden], scale: 1), epsilon: 1e-6)))
      let normed = try tape.rmsNorm(attended, weight: parameter([hidden], scale: 1), epsilon: 1e-6)
      let gate = try projection(normed, inner, site: 4)
      let up = try projection(normed, inner, site: 5)
      let down = frozen(hidden, inner)
      let fed = try tape.gatedLinear(gate: gate, up: up, down, lora: lora(inner, hidden, site: 6))
      let last = try tape.rmsNorm(
        tape.add(attended, fed), weight: parameter([hidden], scale: 1), epsilon: 1e-6)
      let rows = try tape.gatherRows(last, (0..<tokens).filter { $0 % 3 != 0 }.map { Int32($0) })
      return try tape.crossEntropy(
        rows, head: Matrix(parameter([vocabulary, hidden], scale: 0.3)),
        labels: Array(labels().prefix(rows.shape[0])))
    }

    private mutating func attention(_ x: Variable) throws -> Variable {
      let tables = try tables()
      let q = try projection(x, heads * dimension, site: 0, bias: true).reshaped([tokens, heads, dimension])
      let k = try projection(x, keyValueHeads * dimension, site: 1, bias: true)
        .reshaped([tokens, keyValueHeads, dimension])
      let v = try projection(x, keyValueHeads * dimension, site: 2, bias: true)
        .reshaped([tokens, keyValueHeads, dimension])
      let offsets = [0, Int32(lengths[0]), Int32(tokens)]
      let layout = AttentionLayout(
        queryOffsets: offsets, keyOffsets: offsets, heads: heads, keyValueHeads: keyValueHeads,
        dimension: dimension, window: nil)
      let positions = places.positions
      let o = try tape.attention(
        q: tape.rope(q, positions: positions, tables: tables),
        k: tape.rope(k, positions: positions, tables: tables), v: v, layout: layout)
      return try projection(o.reshaped([tokens, heads * dimension]), hidden, site: 3)
    }
  }

  /// Memory of a frozen matrix.
  private final class HalfWords {
    let start: UnsafeMutableRawPointer

    init(_ words: [UInt16]) {
      start = .allocate(byteCount: max(1, words.count * 2), alignment: 64)
      words.withUnsafeBytes {
        UnsafeMutableRawBufferPointer(start: start, count: $0.count).copyMemory(from: $0)
      }
    }

    deinit { start.deallocate() }
  }
}
