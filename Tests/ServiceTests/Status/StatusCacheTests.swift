import Coordination
import JSON
import Testing
import WireProtocol

@testable import Service

/// How often the status is made and said. The reference is PROTOCOL.md, STATUS.
@Suite struct StatusCacheTests {
  private static func time(_ seconds: Double) -> Instant { .zero + seconds }

  @Test func madeOnceInATenthOfASecond() {
    var cache = StatusCache()
    var made = 0
    func ask(_ seconds: Double, _ peer: String) -> Int? {
      cache.answer(to: PeerID(peer), about: nil, now: Self.time(10 + seconds)) {
        made += 1
        return .number(made)
      }?.int
    }
    #expect([ask(0, "a"), ask(0.05, "b"), ask(0.099, "c"), ask(0.101, "d")] == [1, 1, 1, 2])
  }

  @Test func oneThatAsksWithoutEnd() {
    var cache = StatusCache()
    var (answers, made) = (0, 0)
    for millisecond in 0..<10_000 {
      let now = Self.time(10 + Double(millisecond) / 1000)
      let answer = cache.answer(to: PeerID("a"), about: nil, now: now) {
        made += 1
        return 1
      }
      if answer != nil { answers += 1 }
    }
    #expect(answers == 50 && made <= 50)
  }

  @Test func many() {
    var cache = StatusCache()
    var (answers, made) = (0, 0)
    for number in 0..<10_000 {
      let now = Self.time(10 + Double(number) / 1000)
      let answer = cache.answer(to: PeerID("\(number)"), about: nil, now: now) {
        made += 1
        return 1
      }
      if answer != nil { answers += 1 }
    }
    #expect(answers == 2000 && made <= 100)
  }
}
