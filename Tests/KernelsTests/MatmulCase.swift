import Harness
import Kernels

/// One matrix product with its operands, in any of the orders in which the functions of Kernels.h accept them.
struct MatmulCase: CustomStringConvertible {
  var rows, columns, depth: Int
  /// A lies as [depth, rows], B as [columns, depth].
  var transposedA = false
  var transposedB = false
  var accumulate = false
  /// Floats between the end of a row and the next one, of A, B and C.
  var gap = 0
  /// How B is stored.
  var type = NL_F32
  /// Whether both are rounded to bf16, and the order of the sums.
  var order = Order.single
  var a: [Float] = []
  var b: [Float] = []
  var c: [Float] = []

  enum Order: CaseIterable { case single, bf16Dot, bf16Tiles, f32Tiles }

  static let guardValue: Float = 12345

  var description: String {
    "\(rows)×\(columns)×\(depth) A\(transposedA ? "ᵀ" : "") B\(transposedB ? "ᵀ" : "")"
      + "\(accumulate ? " +=" : "")\(type == NL_BF16 ? " bf16" : type == NL_F16 ? " f16" : "")\(order == .single ? "" : " \(order)") gap \(gap)"
  }

  private var aRow: Int { (transposedA ? rows : depth) + gap }
  private var bRow: Int { (transposedB ? depth : columns) + gap }
  private var cRow: Int { columns + gap }

  /// Fills the operands with random numbers, those of B exact in bf16, or in f16 if it is stored so.
  mutating func fill(_ random: inout SplitMix64) {
    a = random.floats(aRow * (transposedA ? depth : rows))
    b = random.floats(bRow * (transposedB ? columns : depth)).map {
      type == NL_F16 ? Float(Float16($0)) : Float(bitPattern: $0.bitPattern & 0xffff_0000)
    }
    // Denormal numbers of f16 are normal ones of f32.
    if type == NL_F16 {
      for i in stride(from: 0, to: b.count, by: 5) { b[i] = Float(Float16(b[i] * 0x1p-15)) }
    }
    c = random.floats(cRow * rows)
    for m in 0..<rows { for j in columns..<cRow { c[m * cRow + j] = Self.guardValue } }
  }

  func filled(_ random: inout SplitMix64) -> MatmulCase {
    var filled = self
    filled.fill(&random)
    return filled
  }

  func elementA(_ m: Int, _ k: Int) -> Float { transposedA ? a[k * aRow + m] : a[m * aRow + k] }
  func elementB(_ k: Int, _ n: Int) -> Float { transposedB ? b[n * bRow + k] : b[k * bRow + n] }

  /// What `nl_matmul` makes of it, with the gaps of C.
  func product(pool: OpaquePointer? = nil) -> [Float] {
    var result = c
    let half =
      type == NL_F32 ? [] : b.map { type == NL_F16 ? Float16($0).bitPattern : UInt16($0.bitPattern >> 16) }
    let aSteps = transposedA ? (1, aRow) : (aRow, 1)
    let bSteps = transposedB ? (1, bRow) : (bRow, 1)
    b.withUnsafeBytes { single in
      half.withUnsafeBytes { short in
        function(
          pool, rows, columns, depth, a, aSteps.0, aSteps.1,
          type == NL_F32 ? single.baseAddress : short.baseAddress, type, bSteps.0, bSteps.1, &result, cRow,
          accumulate)
      }
    }
    return result
  }

  private var function:
    (
      OpaquePointer?, Int, Int, Int, UnsafePointer<Float>?, Int, Int, UnsafeRawPointer?, nl_dtype, Int, Int,
      UnsafeMutablePointer<Float>?, Int, Bool
    ) -> Void
  {
    switch order {
    case .single: nl_matmul
    case .bf16Dot: nl_matmul_bf16_dot
    case .bf16Tiles: nl_matmul_bf16_tiles
    case .f32Tiles: nl_matmul_f32_tiles
    }
  }

  /// The definition in Kernels.h, one element after the other.
  func definition() -> [Float] {
    var result = c
    for m in 0..<rows {
      for n in 0..<columns {
        let before = c[m * cRow + n]
        result[m * cRow + n] =
          switch order {
          case .single, .bf16Dot: blocks(m, n, before)
          case .bf16Tiles: stretches(m, n, before)
          case .f32Tiles: termBlocks(m, n, before)
          }
      }
    }
    return result
  }

  private func blocks(_ m: Int, _ n: Int, _ before: Float) -> Float {
    var sum = before
    for start in stride(from: 0, to: depth, by: 256) {
      let block = start..<min(start + 256, depth)
      let chain = order == .bf16Dot ? pairs(m, n, block) : chain(m, n, block)
      sum = start == 0 && !accumulate ? chain : sum + chain
    }
    return depth == 0 && !accumulate ? 0 : sum
  }

  /// As AMX: of 32 k those that are even, and those that are odd.
  private func stretches(_ m: Int, _ n: Int, _ before: Float) -> Float {
    var sum = accumulate ? before : 0
    for start in stride(from: 0, to: depth, by: 32) {
      var halves: [Float] = [0, 0]
      for k in start..<start + 32 {
        halves[k % 2].addProduct(
          k < depth ? elementA(m, k).flushed.roundedToBF16 : 0,
          k < depth ? elementB(k, n).flushed.roundedToBF16 : 0)
      }
      sum += halves[0] + halves[1]
    }
    return sum
  }

  /// Terms of X and of W that are multiplied, 0 being the largest, in this order.
  private var termProducts: [(x: Int, w: Int)] {
    switch type {
    case NL_BF16: [(2, 0), (1, 0), (0, 0)]
    case NL_F16: [(2, 0), (1, 1), (1, 0), (0, 1), (0, 0)]
    default: [(2, 0), (1, 1), (0, 2), (1, 0), (0, 1), (0, 0)]
    }
  }

  /// As f32 by tiles: of 32 k each product of terms, in blocks of 512 k.
  private func termBlocks(_ m: Int, _ n: Int, _ before: Float) -> Float {
    var sum = before
    for start in stride(from: 0, to: depth, by: 512) {
      let block = termBlock(m, n, start..<min(start + 512, depth))
      sum = start == 0 && !accumulate ? block : sum + block
    }
    return depth == 0 && !accumulate ? 0 : sum
  }

  private func termBlock(_ m: Int, _ n: Int, _ block: Range<Int>) -> Float {
    var sum: Float = 0
    for start in stride(from: block.lowerBound, to: block.upperBound, by: 32) {
      let x = (start..<start + 32).map { $0 < depth ? elementA(m, $0).flushed.bf16Terms : [0, 0, 0] }
      let w = (start..<start + 32).map { $0 < depth ? elementB($0, n).flushed.bf16Terms : [0, 0, 0] }
      for product in termProducts {
        var halves: [Float] = [0, 0]
        for k in 0..<32 { halves[k % 2].addProduct(x[k][product.x], w[k][product.w]) }
        sum += halves[0] + halves[1]
      }
    }
    return sum
  }

  private func chain(_ m: Int, _ n: Int, _ block: Range<Int>) -> Float {
    block.reduce(into: 0) { $0.addProduct(elementA(m, $1), elementB($1, n)) }
  }

  /// In mixed precision: pairs of k, the odd one first; what lacks is zero.
  private func pairs(_ m: Int, _ n: Int, _ block: Range<Int>) -> Float {
    var sum: Float = 0
    for k in stride(from: block.lowerBound, to: block.upperBound, by: 2) {
      if k + 1 < block.upperBound {
        sum.addProduct(elementA(m, k + 1).roundedToBF16, elementB(k + 1, n).roundedToBF16)
      } else {
        sum.addProduct(0, 0)
      }
      sum.addProduct(elementA(m, k).roundedToBF16, elementB(k, n).roundedToBF16)
    }
    return sum
  }

  /// ‖product − reference‖ / ‖reference‖ with the reference in Double.
  func relativeError(of product: [Float]) -> Double {
    var difference = 0.0
    var norm = 0.0
    for m in 0..<rows {
      for n in 0..<columns {
        var sum = accumulate ? Double(c[m * cRow + n]) : 0
        for k in 0..<depth { sum += Double(elementA(m, k)) * Double(elementB(k, n)) }
        difference += (Double(product[m * cRow + n]) - sum) * (Double(product[m * cRow + n]) - sum)
        norm += sum * sum
      }
    }
    return (difference / norm).squareRoot()
  }
}

extension Float {
  /// Zero for a subnormal number.
  var flushed: Float { isSubnormal ? 0 : self }

  /// The nearest number of eight significant bits, ties to even.
  var roundedToBF16: Float {
    guard !isNaN else { return .nan }
    let (low, above) = (bitPattern & 0xffff, bitPattern & ~0xffff)
    let up = low > 0x8000 || low == 0x8000 && above & 0x10000 != 0
    return Float(bitPattern: up ? above + 0x10000 : above)
  }

  /// Three numbers of eight significant bits each whose sum this is, the largest first.
  var bf16Terms: [Float] {
    let first = roundedToBF16
    let second = (self - first).roundedToBF16
    return [first, second, (self - first - second).roundedToBF16]
  }
}

extension [Float] {
  /// FNV-1a over the bits.
  var hash: UInt64 {
    reduce(into: 0xcbf2_9ce4_8422_2325) { hash, x in hash = (hash ^ UInt64(x.bitPattern)) &* 0x100_0000_01b3 }
  }

  var bits: [UInt32] { map(\.bitPattern) }
}
