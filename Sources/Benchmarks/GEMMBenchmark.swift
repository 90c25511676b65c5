import Foundation
import JSON
import Kernels
import Service
import Tensors

/// How fast the matrix products of training are on this machine, beside what it can do at all.
///
/// The products are those of a LoRA step: Y = X·Wᵀ and dX = dY·W with frozen weights (stored as bf16 and as f32), and
/// the narrow products with LoRA's factors. Weights lie in 80 MB that are gone through in turn, so that they come from
/// memory as they do in training, and packing them is part of the time.
///
/// The limit (a loop over registers, in the same precision) is measured around each product. With one thread the fraction
/// of it is by processor time: so it holds on a machine that others use too, where GFLOP/s by the clock on the wall say
/// little. With several it is by elapsed time: of a thread that runs elsewhere the system knows late how long it has.
public struct GEMMBenchmark: Sendable {
  /// Rows of X: tokens in a micro-batch.
  public var tokens = [128, 256, 512]
  /// Weights as (in, out): square, wide and tall ones of small models.
  public var weights = [(896, 896), (896, 4864), (4864, 896), (2048, 8192), (896, 8192)]
  public var ranks = [8, 16, 32, 64]
  /// For how long each figure is measured; at least five times in any case.
  public var secondsPerFigure = 0.15
  /// That of products with frozen weights; those with LoRA's factors are in f32 always.
  public var precision = Precision.f32

  public init() {}

  /// - Returns: an object with `isa`, `threads`, `peak_gflops`, `second_cache_gflops` (what tiles reach whose operands come
  ///   from there), `products` and `lora` (each product with its shape, `fraction_of_second_cache`,
  ///   `gflops` as the median, `best_gflops`, both by elapsed time, and `fraction_of_peak` as the median ratio), and
  ///   `geometric_means` of these by kind.
  /// - Throws: `TensorError` if the threads cannot be had.
  public func run(threads: Int) throws -> JSONValue {
    let machine = Machine(pool: try ThreadPool(threads: threads), seconds: secondsPerFigure)
    let frozen = [NL_BF16, NL_F32].flatMap { type in
      weights.flatMap { size in
        [true, false].flatMap { forward in
          tokens.map { frozenProduct(machine, type, size: size, tokens: $0, forward: forward) }
        }
      }
    }
    let narrow = ranks.flatMap { rank in
      [896, 4864].flatMap { width in
        tokens.flatMap { Self.loraProducts(machine, rank: rank, width: width, tokens: $0) }
      }
    }
    return [
      "isa": .string(String(cString: nl_isa_name(nl_isa_current()))),
      "threads": .number(threads),
      "precision": .string(precision.rawValue),
      "peak_gflops": .number((machine.bestPeak[precision] ?? 0) / 1e9),
      "second_cache_gflops": machine.bestCached.map { .number($0 / 1e9) } ?? .null,
      "products": .array(frozen.map(\.json)),
      "lora": .array(narrow.map(\.json)),
      "geometric_means": [
        "bf16": Self.means(frozen.filter { $0.weights == "bf16" }),
        "f32": Self.means(frozen.filter { $0.weights == "f32" }),
        "lora": Self.means(narrow),
      ],
    ]
  }

  private func frozenProduct(
    _ machine: Machine, _ type: nl_dtype, size: (Int, Int), tokens: Int, forward: Bool
  ) -> Figure {
    let (input, output) = size
    let (n, k) = forward ? (output, input) : (input, output)
    let bytes = input * output * (type == NL_F32 ? 4 : 2)
    let product = product
    let samples = machine.measure(operations: 2 * tokens * n * k, precision) { pool, turn in
      product(
        pool, tokens, n, k, machine.left, k, 1, machine.coldPiece(turn, bytes: bytes), type,
        forward ? 1 : input, forward ? input : 1, machine.result, n, false)
    }
    return Figure(
      operation: forward ? "forward" : "input_gradient", weights: type == NL_F32 ? "f32" : "bf16",
      rows: tokens,
      columns: n, depth: k, samples: samples)
  }

  private var product:
    (
      OpaquePointer?, Int, Int, Int, UnsafePointer<Float>?, Int, Int, UnsafeRawPointer?, nl_dtype, Int, Int,
      UnsafeMutablePointer<Float>?, Int, Bool
    ) -> Void
  {
    switch precision {
    case .f32: nl_matmul
    case .bf16Dot: nl_matmul_bf16_dot
    case .bf16Tiles: nl_matmul_bf16_tiles
    case .f32Tiles: nl_matmul_f32_tiles
    }
  }

  /// With factors a [rank, width] and b [rank, width], x and y [tokens, width], h [tokens, rank].
  private static func loraProducts(_ machine: Machine, rank: Int, width: Int, tokens: Int) -> [Figure] {
    let bytes = tokens * width * 4
    let operations = 2 * tokens * width * rank
    let x = { (turn: Int) in machine.coldPiece(turn, bytes: bytes).assumingMemoryBound(to: Float.self) }
    let down = machine.measure(operations: operations, .f32) { pool, turn in  // h = x·aᵀ
      nl_matmul(
        pool, tokens, rank, width, x(turn), width, 1, machine.left, NL_F32, 1, width, machine.result, rank,
        false)
    }
    let up = machine.measure(operations: operations, .f32) { pool, turn in  // y += h·b
      nl_matmul(
        pool, tokens, width, rank, machine.left, rank, 1, machine.left, NL_F32, width, 1, x(turn), width, true
      )
    }
    let gradient = machine.measure(operations: operations, .f32) { pool, turn in  // da = dhᵀ·x
      nl_matmul(
        pool, rank, width, tokens, machine.left, 1, rank, x(turn), NL_F32, width, 1, machine.result, width,
        false)
    }
    return [
      ("down", tokens, rank, width, down), ("up", tokens, width, rank, up),
      ("gradient", rank, width, tokens, gradient),
    ]
    .map { Figure(operation: $0.0, weights: "f32", rows: $0.1, columns: $0.2, depth: $0.3, samples: $0.4) }
  }

  private static func means(_ figures: [Figure]) -> JSONValue {
    [
      "gflops": .number(geometricMean(figures.map(\.median))),
      "best_gflops": .number(geometricMean(figures.map(\.best))),
      "fraction_of_peak": .number(geometricMean(figures.map(\.fraction))),
    ]
  }

  private static func geometricMean(_ values: [Double]) -> Double {
    values.isEmpty ? 0 : nl_exp(values.reduce(0) { $0 + nl_log($1) } / Double(values.count))
  }
}

/// What was measured of one product.
private struct Figure {
  let operation: String
  let weights: String
  let rows: Int
  let columns: Int
  let depth: Int
  let samples: [Machine.Sample]

  private func median(_ value: (Machine.Sample) -> Double) -> Double {
    samples.map(value).sorted()[samples.count / 2]
  }
  var median: Double { median(\.rate) / 1e9 }
  var best: Double { (samples.map(\.rate).max() ?? 0) / 1e9 }
  var fraction: Double { median(\.fraction) }
  private var cachedFraction: Double? {
    let fractions = samples.compactMap(\.cachedFraction).sorted()
    return fractions.isEmpty ? nil : fractions[fractions.count / 2]
  }

  var json: JSONValue {
    [
      "operation": .string(operation), "weights": .string(weights), "rows": .number(rows),
      "columns": .number(columns), "depth": .number(depth), "gflops": .number(median),
      "best_gflops": .number(best), "fraction_of_peak": .number(fraction),
      "fraction_of_second_cache": cachedFraction.map { .number($0) } ?? .null,
    ]
  }
}

/// The threads, the operands, and the clock.
private final class Machine {
  struct Sample {
    /// Operations per second of elapsed time.
    let rate: Double
    /// Operations per second, divided by those of the register-only loop.
    let fraction: Double
    /// The same of tiles from the second cache, if it is a product of tiles.
    let cachedFraction: Double?
  }

  private static let coldBytes = 80 << 20
  private static let leftCount = 512 * 8192

  let pool: ThreadPool
  let seconds: Double
  private let cold: UnsafeMutableRawPointer
  let left: UnsafeMutablePointer<Float>
  let result: UnsafeMutablePointer<Float>
  private(set) var bestPeak: [Precision: Double] = [:]
  private(set) var bestCached: Double?

  init(pool: ThreadPool, seconds: Double) {
    self.pool = pool
    self.seconds = seconds
    cold = .allocate(byteCount: Self.coldBytes, alignment: 4096)
    left = .allocate(capacity: Self.leftCount)
    result = .allocate(capacity: Self.leftCount)
    result.initialize(repeating: 0, count: Self.leftCount)
    for i in 0..<Self.leftCount { left[i] = Float(i &* 40_503 & 0xffff) / 32768 - 1 }
    // Ordinary numbers around 1 whether they are read as bf16 or as f32.
    let words = cold.bindMemory(to: UInt16.self, capacity: Self.coldBytes / 2)
    for i in 0..<Self.coldBytes / 2 { words[i] = UInt16(truncatingIfNeeded: i &* 40_503) & 0x80ff | 0x3c00 }
  }

  deinit {
    cold.deallocate()
    left.deallocate()
    result.deallocate()
  }

  /// Another piece of the cold memory at each turn.
  func coldPiece(_ turn: Int, bytes: Int) -> UnsafeMutableRawPointer {
    cold + turn % (Self.coldBytes / bytes) * bytes
  }

  /// Operations per second, all threads together.
  private func peak(_ precision: Precision) -> Double {
    let begin = time()
    let operations = ComputePeak(pool: pool, precision: precision).operations()
    let rate = Double(operations) / (time() - begin)
    bestPeak[precision] = max(bestPeak[precision] ?? 0, rate)
    return rate
  }

  private func cached(_ precision: Precision) -> Double? {
    let begin = time()
    guard let operations = ComputePeak(pool: pool, precision: precision).cachedOperations() else {
      return nil
    }
    let rate = Double(operations) / (time() - begin)
    bestCached = max(bestCached ?? 0, rate)
    return rate
  }

  /// Seconds of processor time, or, with several threads, of elapsed time.
  private func time() -> Double {
    var time = timespec()
    clock_gettime(pool.threads == 1 ? CLOCK_PROCESS_CPUTIME_ID : CLOCK_MONOTONIC, &time)
    return Double(time.tv_sec) + Double(time.tv_nsec) * 1e-9
  }

  func measure(operations: Int, _ precision: Precision, _ product: (OpaquePointer, Int) -> Void) -> [Sample] {
    let clock = ContinuousClock()
    var samples: [Sample] = []
    var spent = 0.0
    product(pool.handle, 0)
    while samples.count < 5 || spent < seconds && samples.count < 200 {
      let before = peak(precision)
      let begin = time()
      let elapsed = clock.measure { product(pool.handle, samples.count + 1) } / .seconds(1)
      let rate = Double(operations) / (time() - begin)
      let limit = 2 / (1 / before + 1 / peak(precision))
      samples.append(
        Sample(
          rate: Double(operations) / elapsed, fraction: rate / limit,
          cachedFraction: cached(precision).map { rate / $0 }))
      spent += elapsed
    }
    return samples
  }
}
