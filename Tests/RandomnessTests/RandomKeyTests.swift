import Randomness
import Testing

// The reference is Philox4x32-10 in Python, as in CounterRandomTests, and
//
// def key(seed, purpose, a=0, b=0): return philox([purpose, a, b & M, b >> 32], [seed & M, seed >> 32])[:2]
// def unit(i, k): w = philox([i & M, i >> 32, 0, 0], k); return ((w[1] << 32 | w[0]) >> 11) * 2.0**-53
@Suite struct RandomKeyTests {
  @Test func keysAndBlocksAreThoseOfTheReference() {
    // k = key(2**40 + 3, 17, 5, 2**33 + 7)
    // print(k[1] << 32 | k[0], philox([9, 1, 0, 0], k), unit(3, k))
    let key = RandomKey(.dropout, seed: 1 << 40 + 3, 5, 1 << 33 + 7)
    #expect(key.number == 14_136_488_794_195_016_748)
    let words = SIMD4<UInt32>(3_044_000_662, 1_552_186_540, 3_194_191_653, 1_209_439_157)
    #expect(key.block(1 << 32 + 9) == words)
    #expect(key.unit(3) == 0.3155187106371684)
  }

  @Test func purposesShareNoKey() {
    let purposes: [RandomKey.Purpose] = [
      .rowOrder, .verification, .probe, .rowShare, .freshAdapter, .dropout, .sampling, .freshModel,
    ]
    #expect(Set(purposes.map { RandomKey($0, seed: 42).number }).count == purposes.count)
  }
}
