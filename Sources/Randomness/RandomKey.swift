import Kernels

/// A key of Philox4x32-10, one for each purpose of a seed, so that no two uses of it share numbers.
///
/// The words under a key are a function of it and a counter, and of nothing else: any part of a run can be computed
/// again by itself. Nothing is allocated.
public struct RandomKey: Sendable, Equatable {
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
    /// Which row a draw takes, where rows are drawn with replacement.
    case rowDraw = 6
    /// In which order the rows of a group come, where each has its turn.
    case rowDeck = 7
    case freshAdapter = 16
    case dropout = 17
    case sampling = 18
    case freshModel = 19
    /// The texts that a base model writes itself, to be rehearsed.
    case selfReplay = 20
    /// What the continuum memory system begins with, and what it learns.
    case memoryWeights = 21
    case memoryVectors = 22
    /// What the heads of tasks begin with.
    case freshHeads = 23
  }

  private let words: SIMD2<UInt32>

  /// The key of what it is for, and of a number of 32 bits and one of 64.
  public init(_ purpose: Purpose, seed: UInt64, _ a: UInt32 = 0, _ b: UInt64 = 0) {
    let counter = SIMD4(purpose.rawValue, a, Self.low(b), Self.high(b))
    words = Self.block(counter, key: SIMD2(Self.low(seed), Self.high(seed))).lowHalf
  }

  /// The key as one number, the first word low.
  public var number: UInt64 { UInt64(words[1]) << 32 | UInt64(words[0]) }

  /// Four words of 32 random bits: block `index` of stream `stream`.
  public func block(_ index: UInt64, stream: UInt64 = 0) -> SIMD4<UInt32> {
    Self.block(
      SIMD4(Self.low(index), Self.high(index), Self.low(stream), Self.high(stream)), key: words)
  }

  /// Uniform in [0, 1), a multiple of 2⁻⁵³: of the first two words of block `index`.
  public func unit(_ index: UInt64) -> Double {
    let words = block(index)
    return Double((UInt64(words[1]) << 32 | UInt64(words[0])) >> 11) * 0x1p-53
  }

  private static func low(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) }
  private static func high(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word >> 32) }

  private static func block(_ counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var (counter, key, words) = (counter, key, SIMD4<UInt32>())
    withUnsafeBytes(of: &counter) { counter in
      withUnsafeBytes(of: &key) { key in
        withUnsafeMutableBytes(of: &words) { words in
          nl_philox4x32(
            counter.assumingMemoryBound(to: UInt32.self).baseAddress,
            key.assumingMemoryBound(to: UInt32.self).baseAddress,
            words.assumingMemoryBound(to: UInt32.self).baseAddress)
        }
      }
    }
    return words
  }
}
