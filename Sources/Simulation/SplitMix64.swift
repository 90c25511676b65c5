/// Random numbers from a seed, the same on every machine: Steele, Lea and Flood, "Fast splittable pseudorandom number
/// generators", 2014.
struct SplitMix64: RandomNumberGenerator, Sendable {
  private var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    return Self.mix(state)
  }

  /// Spreads a number over 64 bits.
  static func mix(_ value: UInt64) -> UInt64 {
    var z = value
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  mutating func chance(_ probability: Double) -> Bool {
    probability > 0 && Double.random(in: 0..<1, using: &self) < probability
  }

  /// A number of the range; small ones are as likely as large ones on a logarithmic scale.
  mutating func logarithmic(_ range: ClosedRange<Double>) -> Double {
    // Whole powers of two and a linear rest: no logarithm, whose last bit the platform decides.
    var low = range.lowerBound
    var octaves: [ClosedRange<Double>] = []
    while low * 2 < range.upperBound {
      octaves.append(low...(low * 2))
      low *= 2
    }
    octaves.append(low...range.upperBound)
    return Double.random(in: octaves.randomElement(using: &self) ?? range, using: &self)
  }
}

/// A running 64-bit hash; for noticing differences, not for security.
struct Fingerprint: Hashable, Sendable {
  private(set) var value: UInt64 = 0xCBF2_9CE4_8422_2325

  mutating func add(_ word: UInt64) { value = SplitMix64.mix((value ^ word) &+ 0x9E37_79B9_7F4A_7C15) }
  mutating func add(_ number: Double) { add(number.bitPattern) }
  mutating func add(_ number: Int) { add(UInt64(bitPattern: Int64(number))) }
  mutating func add(_ values: [Float]) { for value in values { add(UInt64(value.bitPattern)) } }
  mutating func add(_ values: [Int32]) { for value in values { add(UInt64(UInt32(bitPattern: value))) } }
}
