import Coordination
import Testing

/// The order of a queue, as it is changed by hand: "a" and "d" are at work or rest in all of these, the others wait.
@Suite struct QueueOrderTests {
  private static let entries = ["a", "b", "c", "d", "e"]

  private static func isWaiting(_ entry: String) -> Bool { ["b", "c", "e"].contains(entry) }

  private static func ordered(_ first: [String]) throws(QueueOrderError) -> [String] {
    try QueueOrder.putFirst(first, in: entries, isWaiting: isWaiting)
  }

  @Test func thoseThatWaitChangePlacesAmongThemselves() throws {
    #expect(try Self.ordered(["e"]) == ["a", "e", "b", "d", "c"])
    #expect(try Self.ordered(["e", "c", "b"]) == ["a", "e", "c", "d", "b"])
    #expect(try Self.ordered(["b", "c", "e"]) == Self.entries)
    #expect(try Self.ordered([]) == Self.entries)
  }

  /// Every order of the three can be had, whichever it was before, and none of the entries is lost.
  @Test func everyOrder() throws {
    let names = ["b", "c", "e"]
    var seen = Set<[String]>()
    for first in names {
      for second in names where second != first {
        for third in names where third != first && third != second {
          let order = try Self.ordered([first, second, third])
          #expect(order.filter(Self.isWaiting) == [first, second, third] && order.sorted() == Self.entries)
          #expect(order[0] == "a" && order[3] == "d")
          seen.insert(order)
        }
      }
    }
    #expect(seen.count == 6)
  }

  @Test(arguments: [
    (["b", "b"], QueueOrderError(index: 1, kind: .twice)),
    (["c", "a"], QueueOrderError(index: 1, kind: .notWaiting)),
    (["x"], QueueOrderError(index: 0, kind: .notWaiting)),
  ])
  func whatIsNoOrder(first: [String], error: QueueOrderError) {
    #expect(throws: error) { try Self.ordered(first) }
  }

  /// What has begun stands before all that still wait, so that after a restart it goes on before they begin.
  @Test func whatHasBegunComesFirst() {
    let begun = { (entry: String) in
      QueueOrder.begun(entry, in: ["a", "b", "c", "d"]) { ["b", "c", "d"].contains($0) && $0 != entry }
    }
    #expect(begun("d") == ["a", "d", "b", "c"])
    #expect(begun("c") == ["a", "c", "b", "d"])
    #expect(begun("b") == ["a", "b", "c", "d"])
    #expect(begun("x") == ["a", "b", "c", "d"])
  }
}
