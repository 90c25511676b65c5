import Testing

@testable import Service

/// Which rows a probe is fitted to, and which it is judged by. The reference is the rule: as many rows of each name in both
/// halves, whatever else goes by the number of the line.
@Suite struct RowHalvesTests {
  /// Two names in turn, and of each name a trait in turn, as make_data.py of examples/adversarial writes labels: taken by
  /// the number of the line, all rows of one half would have the trait, and none of the other's.
  @Test func traitsThatAlternate() {
    let rows = Array(0..<400)
    let halves = RowHalves(tokens: rows.map { [Int32($0), 7] }, names: rows.map { $0 % 2 })
    for half in [halves.first, halves.second] {
      #expect(half == half.sorted() && half.count == 200)
      #expect(half.count { $0 % 2 == 0 } == 100)
      // Of 100 rows that are drawn about half have the trait: within 4 standard deviations.
      let traits = half.count { $0 % 2 == 0 && $0 / 2 % 2 == 0 }
      #expect((30...70).contains(traits), "\(traits) of 100")
    }
    #expect(Set(halves.first).isDisjoint(with: halves.second))
  }

  /// The same rows in another order of the file are in the same halves.
  @Test func orderOfTheFile() {
    let tokens = (0..<51).map { [Int32($0 * $0), Int32($0)] }
    let halves = RowHalves(tokens: tokens, names: tokens.map { _ in 0 })
    let turned = RowHalves(tokens: tokens.reversed(), names: tokens.map { _ in 0 })
    #expect(Set(turned.first.map { 50 - $0 }) == Set(halves.first))
    #expect(halves.first.count == 26 && halves.second.count == 25)
  }

  /// One row of each name leaves nothing to be judged.
  @Test func oneRowOfEach() {
    let halves = RowHalves(tokens: [[1], [2]], names: [0, 1])
    #expect(halves.first == [0, 1] && halves.second.isEmpty)
  }
}
