import Harness
import Kernels
import Testing

extension ISASuite {
  @Suite struct MatmulTests {
    /// Sizes at and around every border: tiles of 4, 6 and 12 rows, vectors and panels of 16, 32 and 64 columns,
    /// groups of 128 and 256, blocks of 256 k, B in place (rows or depth at most 64; weights for AMX).
    static let sizes: [(Int, Int, Int)] = [
      (1, 1, 1), (1, 33, 257), (2, 7, 3), (3, 129, 64), (5, 31, 300), (6, 16, 1), (7, 300, 65), (8, 96, 513),
      (11, 17, 255), (12, 32, 256), (13, 1, 777), (16, 70, 40), (24, 8, 256), (25, 130, 66), (64, 65, 90),
      (65, 64, 65), (67, 259, 70), (130, 8, 512), (70, 270, 259),
      // Weights where they lie, which takes multiples of 32 k.
      (17, 150, 96), (33, 161, 288),
      // More than two blocks of 512 k.
      (9, 40, 1100),
    ]

    static let storedTypes = [NL_F32, NL_BF16, NL_F16]

    static func cases(seed: UInt64) -> [MatmulCase] {
      var random = SplitMix64(seed: seed)
      return sizes.flatMap { rows, columns, depth in
        (0..<96).map { bits in
          var one = MatmulCase(
            rows: rows, columns: columns, depth: depth, transposedA: bits & 1 > 0, transposedB: bits & 2 > 0,
            accumulate: bits & 4 > 0,
            gap: Int.random(in: 0...3, using: &random), type: storedTypes[bits / 8 % 3],
            order: MatmulCase.Order.allCases[bits / 24]
          ).filled(&random)
          // B as f32 has numbers that have to be rounded.
          if one.order != .single && one.type == NL_F32 { one.b = random.floats(one.b.count) }
          return one
        }
      }
    }

    // The definition is the contract in Kernels.h, computed by Float.addProduct, which is IEEE 754's fused
    // multiply-add. Gaps in C must stay as they are, hence all of C is compared.
    @Test func everyPathGivesTheBitsOfTheDefinition() throws {
      let pools = try (1...5).map { try #require(nl_pool_create(Int32($0))) }
      defer { pools.forEach(nl_pool_destroy) }
      for one in Self.cases(seed: 11) {
        let expected = one.definition().bits
        ISASuite.inEach { isa in
          #expect(one.product().bits == expected, "\(one), \(String(cString: nl_isa_name(isa)))")
          for pool in isa == NL_ISA_BASELINE ? [pools[2]] : pools {
            #expect(one.product(pool: pool).bits == expected, "\(one), \(nl_pool_threads(pool)) threads")
          }
        }
      }
    }

    // Large enough that all threads take part, in columns and in rows, and that A is packed in several pieces.
    @Test(arguments: [
      MatmulCase(rows: 40, columns: 2500, depth: 300, transposedB: true, type: NL_BF16),
      MatmulCase(rows: 40, columns: 2500, depth: 301, transposedB: true, type: NL_BF16, order: .bf16Dot),
      MatmulCase(rows: 530, columns: 300, depth: 2100, accumulate: true, type: NL_BF16, order: .bf16Dot),
      MatmulCase(rows: 40, columns: 2500, depth: 301, transposedB: true, type: NL_BF16, order: .bf16Tiles),
      MatmulCase(rows: 530, columns: 300, depth: 2100, accumulate: true, type: NL_BF16, order: .bf16Tiles),
      MatmulCase(rows: 530, columns: 300, depth: 2112, transposedB: true, type: NL_BF16, order: .bf16Tiles),
      MatmulCase(rows: 40, columns: 2500, depth: 301, transposedB: true, type: NL_BF16, order: .f32Tiles),
      MatmulCase(rows: 530, columns: 300, depth: 2100, accumulate: true, type: NL_BF16, order: .f32Tiles),
      MatmulCase(rows: 530, columns: 300, depth: 2112, transposedB: true, order: .f32Tiles),
      MatmulCase(rows: 40, columns: 2500, depth: 301, transposedB: true, type: NL_F16),
      MatmulCase(rows: 530, columns: 300, depth: 2100, type: NL_F16, order: .bf16Dot),
      MatmulCase(rows: 530, columns: 300, depth: 2112, transposedB: true, type: NL_F16, order: .bf16Tiles),
      MatmulCase(rows: 530, columns: 300, depth: 2112, transposedB: true, type: NL_F16, order: .f32Tiles),
      // So long that the rows are packed in two stretches.
      MatmulCase(rows: 300, columns: 70, depth: 5000, type: NL_BF16, order: .f32Tiles),
      MatmulCase(rows: 600, columns: 40, depth: 700, transposedB: true),
      MatmulCase(rows: 530, columns: 300, depth: 2100, accumulate: true),
      MatmulCase(rows: 700, columns: 900, depth: 16, accumulate: true),
      MatmulCase(rows: 16, columns: 900, depth: 700, transposedA: true, accumulate: true),
    ])
    func threadsAndInstructionSetsGiveOneHash(shape: MatmulCase) throws {
      var random = SplitMix64(seed: 12)
      let one = shape.filled(&random)
      var hashes: Set<UInt64> = []
      try ISASuite.inEach { isa in
        for threads in isa == NL_ISA_BASELINE ? 3...3 : 1...5 {
          let pool = try #require(nl_pool_create(Int32(threads)))
          defer { nl_pool_destroy(pool) }
          hashes.insert(one.product(pool: pool).hash)
        }
      }
      #expect(hashes.count == 1)
    }

    // Reference: the same sum in Double. Blocks of 256 keep the error of long sums near that of short ones.
    @Test(arguments: [(33, 47, 1), (64, 64, 256), (50, 100, 4864), (3, 5, 151_936)])
    func errorAgainstDouble(rows: Int, columns: Int, depth: Int) {
      var random = SplitMix64(seed: 13)
      let one = MatmulCase(rows: rows, columns: columns, depth: depth, transposedB: true).filled(&random)
      #expect(one.relativeError(of: one.product()) <= 1e-6)
    }

    // The error of f32 by tiles, with all kinds of weights, is no larger than that of f32.
    @Test(arguments: [UInt32(0), 1, 2], [(33, 47, 1), (64, 64, 512), (50, 100, 4864), (3, 5, 151_936)])
    func tilesErrorAgainstDouble(type: UInt32, size: (rows: Int, columns: Int, depth: Int)) {
      var random = SplitMix64(seed: 19)
      var one = MatmulCase(
        rows: size.rows, columns: size.columns, depth: size.depth, transposedB: true, type: nl_dtype(type),
        order: .f32Tiles
      ).filled(&random)
      if one.type == NL_F32 { one.b = random.floats(one.b.count) }
      let error = one.relativeError(of: one.product())
      one.order = .single
      print("f32 by tiles, \(one): \(error), f32 \(one.relativeError(of: one.product()))")
      #expect(error <= 1e-6)
    }

    // Where weights are exact in bf16 or in f16, the terms that f32 has beyond theirs add nothing.
    @Test func halvesGiveTheBitsOfF32() {
      ISASuite.inEach { isa in
        for one in Self.cases(seed: 14) where one.type != NL_F32 {
          var other = one
          other.type = NL_F32
          #expect(
            one.product().hash == other.product().hash, "\(one), \(String(cString: nl_isa_name(isa)))")
        }
      }
    }

    // A row alone, and among any number of others.
    @Test(
      arguments: MatmulCase.Order.allCases, [(96, 300), (8, 300), (300, 16), (300, 600)])
    func rowsDoNotDependOnTheirNumber(order: MatmulCase.Order, size: (columns: Int, depth: Int)) {
      let (columns, depth) = size
      var random = SplitMix64(seed: 15)
      let whole = MatmulCase(
        rows: 140, columns: columns, depth: depth, type: order == .single ? NL_F32 : NL_BF16, order: order
      ).filled(&random)
      let expected = whole.product()
      ISASuite.inEach { _ in
        for rows in [1, 2, 3, 5, 8, 12, 13, 29, 64, 65, 128] {
          var part = whole
          part.rows = rows
          #expect(part.product().prefix(rows * columns) == expected.prefix(rows * columns), "\(part)")
        }
      }
    }

    // What is not finite stays in its row of A or its column of B, and does not leak through padding.
    @Test(arguments: MatmulCase.Order.allCases) func notFiniteStaysInPlace(order: MatmulCase.Order) {
      var random = SplitMix64(seed: 16)
      var one = MatmulCase(rows: 30, columns: 45, depth: 70, transposedB: true, order: order).filled(&random)
      one.a[7 * 70 + 3] = .nan
      one.b[44 * 70 + 69] = .infinity
      ISASuite.inEach { _ in
        let product = one.product()
        for m in 0..<30 {
          for n in 0..<45 { #expect(product[m * 45 + n].isFinite == (m != 7 && n != 44), "\(m), \(n)") }
        }
      }
    }

    // Numbers and sums near zero: the instruction for dot products takes what is denormal as zero, and gives zero for it;
    // so does everything that stands for it, whatever state the caller has set.
    @Test(arguments: [MatmulCase.Order.bf16Dot, .bf16Tiles, .f32Tiles]) func mixedPrecisionFlushesDenormals(
      order: MatmulCase.Order
    ) {
      var random = SplitMix64(seed: 17)
      var hashes: Set<UInt64> = []
      var flushed = 0
      for exponent in [Float(0x1p-60), 0x1p-63, 0x1p-64, 0x1p-66, 0x1p-100, 0x1p-126, 0x1p-130] {
        var one = MatmulCase(rows: 25, columns: 70, depth: 33, transposedB: true, order: order).filled(
          &random)
        one.a = one.a.map { $0 * exponent }
        one.b = one.b.map { $0 * exponent }
        let results = ISASuite.available.map { isa in
          let before = nl_isa_current()
          defer { _ = nl_isa_select(before) }
          return nl_isa_select(isa) ? one.product() : []
        }
        flushed += results[0].count { $0 == 0 }
        for result in results {
          #expect(result.bits == results[0].bits, "\(exponent)")
          #expect(!result.contains { $0.isSubnormal })
        }
        hashes.insert(results[0].hash)
      }
      #expect(hashes.count >= 3 && flushed > 0)
    }

    // The largest subnormal number, which bf16 would round up to a normal one, is zero before it is rounded, in the order
    // of tiles: in every form of the product, for one row as for many.
    @Test(
      arguments: [MatmulCase.Order.bf16Tiles, .f32Tiles], [(1, true), (1, false), (40, true), (40, false)])
    func subnormalsAreZeroBeforeTheyAreRounded(order: MatmulCase.Order, form: (rows: Int, transposedB: Bool))
    {
      for (inA, scale) in [(true, Float(0x1p60)), (false, 0x1p60)] {
        var one = MatmulCase(
          rows: form.rows, columns: 200, depth: 96, transposedB: form.transposedB, order: order)
        let tiny = Float(bitPattern: 0x007f_ffff)
        one.a = [Float](repeating: inA ? tiny : scale, count: form.rows * 96)
        one.b = [Float](repeating: inA ? scale : tiny, count: 200 * 96)
        one.c = [Float](repeating: 1, count: form.rows * 200)
        ISASuite.inEach { isa in
          #expect(one.product().allSatisfy { $0 == 0 }, "\(one), \(String(cString: nl_isa_name(isa)))")
        }
      }
    }

    // Reference: the same sum in Double of numbers rounded to bf16, whose error is that of f32 alone.
    // One chain of AMX is as long as all k by 32.
    @Test(
      arguments: [MatmulCase.Order.bf16Dot, .bf16Tiles],
      [(33, 47, 1), (64, 64, 256), (50, 100, 4864), (3, 5, 151_936)])
    func mixedErrorAgainstDouble(order: MatmulCase.Order, size: (rows: Int, columns: Int, depth: Int)) {
      var random = SplitMix64(seed: 18)
      var one = MatmulCase(
        rows: size.rows, columns: size.columns, depth: size.depth, transposedB: true, order: order
      ).filled(&random)
      one.a = one.a.map(\.roundedToBF16)
      #expect(one.relativeError(of: one.product()) <= (order == .bf16Tiles ? 4e-6 : 1e-6))
    }

    @Test func emptySums() {
      var one = MatmulCase(rows: 3, columns: 40, depth: 0)
      one.c = [Float](repeating: 7, count: 120)
      #expect(one.product() == [Float](repeating: 0, count: 120))
      one.accumulate = true
      #expect(one.product() == one.c)
    }
  }
}
