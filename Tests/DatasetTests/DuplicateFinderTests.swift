import Testing

@testable import Dataset

/// What finds rows that stand in the data twice takes eight bytes a row, so that it sorts in place.
@Suite struct DuplicateFinderTests {
  /// Numbers that differ everywhere, in their lowest or highest bits alone, or not at all.
  @Test(arguments: [UInt64.max, 0xFF, 0xFF00_0000_0000_0000, 0x0100_0000_0000_0003, 0])
  func sortsAsArraysDo(mask: UInt64) {
    let seed = UInt64.random(in: 0...UInt64.max)
    var state = seed
    for count in [0, 1, 2, 3, 255, 256, 257, 5000] {
      var keys = (0..<count).map { _ in
        state = state &* 0x5851_F42D_4C95_7F2D &+ 0x1405_7B7E_F767_814F
        return (state ^ state >> 29) & mask
      }
      let sorted = keys.sorted()
      DuplicateFinder.sort(&keys)
      #expect(keys == sorted, "seed \(seed), \(count) numbers")
    }
  }
}
