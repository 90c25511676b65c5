import NIOCore
import Testing

@testable import WebService

/// What many ask for is made once, and never serves longer than what it was made from.
@Suite struct AnswerCacheTests {
  let cache = AnswerCache()
  let start = ContinuousClock.now

  /// - Returns: the number that was made, or had been made before
  private func ask(_ number: Int, changes: UInt64, mark: String = "", after: Duration = .zero) throws
    -> String
  {
    let bytes = try cache.bytes("a", changes: changes, mark: mark, now: start + after) { .number(number) }
    return String(buffer: bytes)
  }

  @Test func whatDependsOnTheDeskAloneServesUntilThatChanges() throws {
    #expect(cache.known("a", changes: 1) == nil)
    #expect(try ask(1, changes: 1) == "1")
    #expect(try ask(2, changes: 1, after: .seconds(60)) == "1")
    #expect(cache.known("a", changes: 1, now: start + .seconds(60)).map { String(buffer: $0) } == "1")
    #expect(cache.known("a", changes: 2) == nil)
    #expect(try ask(3, changes: 2) == "3")
  }

  @Test func whatDependsOnMoreIsLookedAtAgainSoon() throws {
    #expect(try ask(1, changes: 1, mark: "x") == "1")
    #expect(cache.known("a", changes: 1, now: start + AnswerCache.age / 2) != nil)
    #expect(cache.known("a", changes: 1, now: start + AnswerCache.age) == nil)
    #expect(cache.known("a", changes: 2, now: start) == nil)
    // As it was: not made anew, and known for a while again.
    #expect(try ask(2, changes: 2, mark: "x", after: AnswerCache.age) == "1")
    #expect(cache.known("a", changes: 2, now: start + AnswerCache.age * 1.5) != nil)
    #expect(try ask(3, changes: 2, mark: "y", after: AnswerCache.age) == "3")
  }
}
