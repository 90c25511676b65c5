import Kernels

/// Random numbers that are a function of what they are for: Philox4x32-10 under a key from (seed, purpose, b),
/// counting draws within the stream `a`. There is no state but the place in the stream, so any part of a run can
/// be computed again by itself.
public struct CounterRandom: Sendable {
  public enum Purpose: UInt32, Sendable {
    /// The order of the training rows in an epoch.
    case rowOrder = 1
    /// Which shards are computed twice.
    case verification = 2
    /// The numbers with which a worker's arithmetic is compared.
    case probe = 3
    /// Which rows of a file that has a weight come once more in an epoch.
    case rowShare = 4
    /// Which modules the tiers of `tier_assignment_strategy: random` have.
    case tierAssignment = 5
  }

  private let key: SIMD2<UInt32>
  private let stream: UInt64
  private var blocks: UInt64 = 0
  private var words = SIMD4<UInt32>()
  private var used = 4

  public init(seed: UInt64, purpose: Purpose, _ a: UInt64 = 0, _ b: UInt64 = 0) {
    let counter = SIMD4(purpose.rawValue, 0, Self.low(b), Self.high(b))
    let block = Self.block(counter, key: SIMD2(Self.low(seed), Self.high(seed)))
    key = block.lowHalf
    stream = a
  }

  /// The next 32 bits.
  public mutating func word() -> UInt32 {
    if used == 4 {
      let counter = SIMD4(Self.low(blocks), Self.high(blocks), Self.low(stream), Self.high(stream))
      words = Self.block(counter, key: key)
      blocks += 1
      used = 0
    }
    used += 1
    return words[used - 1]
  }

  /// The next 64 bits, the first word low.
  public mutating func next() -> UInt64 {
    let low = UInt64(word())
    return UInt64(word()) << 32 | low
  }

  /// Uniform in [0, bound), without the bias of a plain remainder: draws above the last whole multiple of
  /// `bound` are drawn again. 0 if there is nothing to choose from.
  public mutating func integer(below bound: Int) -> Int {
    guard bound > 1 else { return 0 }
    let bound = UInt64(bound)
    let excess = (UInt64.max % bound + 1) % bound
    while true {
      let draw = next()
      if draw <= UInt64.max - excess { return Int(draw % bound) }
    }
  }

  /// Uniform in [0, 1), a multiple of 2⁻⁵³.
  public mutating func unit() -> Double { Double(next() >> 11) * 0x1p-53 }

  /// The rows 0 ..< count in the random order of an epoch (Fisher–Yates from the end).
  public static func permutation(count: Int, seed: UInt64, epoch: Int) -> [Int] {
    var order = Array(0..<max(0, count))
    var random = CounterRandom(seed: seed, purpose: .rowOrder, UInt64(max(0, epoch)))
    for i in order.indices.dropFirst().reversed() { order.swapAt(i, random.integer(below: i + 1)) }
    return order
  }

  /// The numbers 0 ..< count in a random order (Fisher–Yates from the end), in four bytes each; that of `.rowOrder` in
  /// an epoch is `permutation`.
  public static func order(
    count: Int, seed: UInt64, _ purpose: Purpose, _ a: UInt64 = 0, _ b: UInt64 = 0
  ) -> [UInt32] {
    var order = (0..<UInt32(clamping: count)).map { $0 }
    var random = CounterRandom(seed: seed, purpose: purpose, a, b)
    for i in order.indices.dropFirst().reversed() { order.swapAt(i, random.integer(below: i + 1)) }
    return order
  }

  private static func low(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) }
  private static func high(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word >> 32) }

  private static func block(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    withUnsafeTemporaryAllocation(of: UInt32.self, capacity: 10) { words in
      guard let start = words.baseAddress else { return SIMD4() }
      for i in 0..<4 { words[i] = counter[i] }
      for i in 0..<2 { words[4 + i] = key[i] }
      nl_philox4x32(start, start + 4, start + 6)
      return SIMD4(words[6], words[7], words[8], words[9])
    }
  }
}
