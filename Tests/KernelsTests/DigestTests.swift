import Harness
import Kernels
import Testing

extension ISASuite {
  /// `nl_digest` against its formula, one word after the other, on every instruction set and with threads.
  @Suite struct DigestTests {
    /// digest.c's description.
    private func formula(_ words: [UInt32]) -> UInt64 {
      func mix(_ value: UInt32) -> UInt32 {
        let product = value &* 0x9E37_79B1
        return product ^ product >> 15
      }
      func fold(_ digest: UInt64, _ next: UInt64) -> UInt64 {
        let product = (digest ^ next) &* 0x9E37_79B9_7F4A_7C15
        return product ^ product >> 29
      }
      var digest = UInt64(words.count)
      for start in stride(from: 0, to: words.count, by: 16_384) {
        let chunk = words[start..<min(start + 16_384, words.count)]
        var lanes = (1...64).map { UInt32($0) &* 0x9E37_79B1 }
        for (place, word) in chunk.enumerated() { lanes[place % 64] = mix(lanes[place % 64] ^ word) }
        digest = fold(digest, lanes.reduce(UInt64(chunk.count)) { fold($0, UInt64($1)) })
      }
      return digest
    }

    private func digest(_ words: [UInt32], _ pool: OpaquePointer? = nil) -> UInt64 {
      words.withUnsafeBytes { nl_digest(pool, words.count, $0.baseAddress) }
    }

    @Test func isItsFormula() {
      var random = SplitMix64(seed: 11)
      let words = (0..<1_100_000).map { _ in UInt32.random(in: 0...UInt32.max, using: &random) }
      let pool = nl_pool_create(3)
      defer { nl_pool_destroy(pool) }
      for count in [0, 1, 63, 64, 65, 1000, 16_383, 16_384, 16_385, 40_000, 1_048_577, 1_100_000] {
        let part = Array(words[..<count])
        let expected = formula(part)
        ISASuite.inEach { isa in
          #expect(digest(part) == expected && digest(part, pool) == expected, "\(count) words, \(isa)")
        }
      }
    }

    /// One bit of any word, two signs, two words that have changed places, a word more.
    @Test func everyChangeIsSeen() {
      var random = SplitMix64(seed: 12)
      let words = (0..<300).map { _ in UInt32.random(in: 0...UInt32.max, using: &random) }
      var seen = Set([digest(words)])
      for place in words.indices {
        for bit in [0, 15, 31] {
          var changed = words
          changed[place] ^= 1 << UInt32(bit)
          #expect(seen.insert(digest(changed)).inserted)
        }
        var changed = words
        changed[place] ^= 1 << 31
        changed[(place + 64) % words.count] ^= 1 << 31
        // A pair is met from both of its sides where the list ends.
        seen.insert(digest(changed))
        #expect(digest(changed) != digest(words))
        changed = words
        changed.swapAt(place, (place + 64) % words.count)
        #expect(digest(changed) != digest(words))
      }
      #expect(seen.insert(digest(words + [0])).inserted)
    }
  }
}
