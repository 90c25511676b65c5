import Kernels

/// Keys for Philox4x32-10, one for each purpose, so that no two uses of a seed share numbers.
enum RandomKey {
  enum Purpose: UInt32 {
    case freshAdapter = 16
    case dropout = 17
    case sampling = 18
    case freshModel = 19
    case selfReplay = 20
  }

  /// A key that is a function of everything given, and of nothing else.
  static func derive(_ purpose: Purpose, seed: UInt64, _ a: UInt64 = 0, _ b: UInt32 = 0) -> UInt64 {
    let words = words(key: seed, counter: [purpose.rawValue, b, low(a), high(a)])
    return UInt64(words[1]) << 32 | UInt64(words[0])
  }

  /// Four words of 32 random bits.
  static func words(key: UInt64, counter: [UInt32]) -> [UInt32] {
    [UInt32](unsafeUninitializedCapacity: 4) { out, count in
      if let words = out.baseAddress {
        nl_philox4x32(counter, [low(key), high(key)], words)
        count = 4
      }
    }
  }

  /// Uniform in [0, 1), the `index`-th of a key's sequence: a multiple of 2⁻⁵³.
  static func unit(key: UInt64, index: Int) -> Double {
    let place = UInt64(truncatingIfNeeded: index)
    let words = words(key: key, counter: [low(place), high(place), 0, 0])
    return Double((UInt64(words[1]) << 32 | UInt64(words[0])) >> 11) * 0x1p-53
  }

  private static func low(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word) }
  private static func high(_ word: UInt64) -> UInt32 { UInt32(truncatingIfNeeded: word >> 32) }
}
