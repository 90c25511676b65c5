import Randomness
import Testing

// The reference is Philox4x32-10 in Python, from its paper (Salmon et al. 2011):
//
// M = 0xFFFFFFFF
// def philox(c, k):
//     for _ in range(10):
//         p, q = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
//         c = [(q >> 32) ^ c[1] ^ k[0], q & M, (p >> 32) ^ c[3] ^ k[1], p & M]
//         k = [(k[0] + 0x9E3779B9) & M, (k[1] + 0xBB67AE85) & M]
//     return c
// def stream(seed, purpose, a=0, b=0):
//     key, n = philox([purpose, 0, b & M, b >> 32], [seed & M, seed >> 32])[:2], 0
//     while True:
//         yield from philox([n & M, n >> 32, a & M, a >> 32], key); n += 1
// def below(n, words):
//     while True:
//         x = next(words) | next(words) << 32
//         if x < 2**64 - 2**64 % n: return x % n
// def permutation(count, seed, epoch):
//     order, words = list(range(count)), stream(seed, 1, epoch)
//     for i in range(count - 1, 0, -1):
//         j = below(i + 1, words); order[i], order[j] = order[j], order[i]
//     return order
@Suite struct CounterRandomTests {
  @Test func wordsArePhiloxs() {
    // w = stream(7, 1, 5, 6); print([next(w) for _ in range(6)])
    var random = CounterRandom(seed: 7, purpose: .rowOrder, 5, 6)
    let words = (0..<6).map { _ in random.word() }
    #expect(words == [3_865_225_097, 2_274_312_660, 109_247_826, 3_241_218_881, 582_923_104, 1_393_571_712])
  }

  /// A quarter of all draws lie above the last multiple of 3·2⁶¹, and are drawn again.
  @Test func integersAreDrawnWithoutBias() {
    // w = stream(9, 1, 2); print([below(3 * 2**61, w) for _ in range(6)])
    var random = CounterRandom(seed: 9, purpose: .rowOrder, 2)
    let draws = (0..<6).map { _ in random.integer(below: 3 << 61) }
    #expect(
      draws == [
        4_100_772_683_091_934_124, 5_860_959_885_122_869_606, 3_353_114_508_929_549_538,
        1_006_550_235_065_126_236, 499_176_494_742_434_279, 366_966_140_443_046_258,
      ])
    #expect(random.integer(below: 1) == 0)
  }

  @Test func permutationsAreThoseOfTheReference() {
    // print(permutation(16, 42, 0), permutation(16, 42, 1), permutation(7, 2**40 + 3, 2**33))
    #expect(
      CounterRandom.permutation(count: 16, seed: 42, epoch: 0) == [
        4, 5, 2, 15, 9, 14, 11, 3, 10, 1, 0, 7, 13, 8, 6, 12,
      ])
    #expect(
      CounterRandom.permutation(count: 16, seed: 42, epoch: 1) == [
        9, 3, 10, 0, 8, 12, 11, 7, 13, 2, 1, 14, 6, 4, 15, 5,
      ])
    #expect(CounterRandom.permutation(count: 7, seed: 1 << 40 + 3, epoch: 1 << 33) == [2, 4, 1, 5, 3, 6, 0])
    #expect(CounterRandom.permutation(count: 1, seed: 1, epoch: 0) == [0])
    #expect(CounterRandom.permutation(count: 0, seed: 1, epoch: 0) == [])
  }

  /// The mean of n uniform numbers has the standard deviation 1/√(12n); the seed is fixed.
  @Test func unitNumbersAreUniform() {
    var random = CounterRandom(seed: 3, purpose: .rowOrder)
    let numbers = (0..<10_000).map { _ in random.unit() }
    #expect(numbers.allSatisfy { 0 <= $0 && $0 < 1 })
    let mean = numbers.reduce(0, +) / 10_000
    let deviation = 1 / 120_000.0.squareRoot()
    #expect(abs(mean - 0.5) < 4 * deviation)
  }
}
