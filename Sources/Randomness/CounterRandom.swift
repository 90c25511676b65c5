/// Random numbers one after the other: the words of one stream of a `RandomKey`. There is no state but the place in the
/// stream.
public struct CounterRandom: Sendable {
  private let key: RandomKey
  private let stream: UInt64
  private var blocks: UInt64 = 0
  private var words = SIMD4<UInt32>()
  private var used = 4

  /// Stream `a` of the key of (seed, purpose, b).
  public init(seed: UInt64, purpose: RandomKey.Purpose, _ a: UInt64 = 0, _ b: UInt64 = 0) {
    key = RandomKey(purpose, seed: seed, 0, b)
    stream = a
  }

  /// The next 32 bits.
  public mutating func word() -> UInt32 {
    if used == 4 {
      words = key.block(blocks, stream: stream)
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
    count: Int, seed: UInt64, _ purpose: RandomKey.Purpose, _ a: UInt64 = 0, _ b: UInt64 = 0
  ) -> [UInt32] {
    var order = (0..<UInt32(clamping: count)).map { $0 }
    var random = CounterRandom(seed: seed, purpose: purpose, a, b)
    for i in order.indices.dropFirst().reversed() { order.swapAt(i, random.integer(below: i + 1)) }
    return order
  }
}
