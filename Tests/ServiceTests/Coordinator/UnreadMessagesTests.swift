import Coordination
import Testing

@testable import Service

/// After a stall a coordinator reads what has come, 64 messages a turn, before it judges who was silent; a flood keeps it
/// from judging for two seconds at a time.
@Suite struct UnreadMessagesTests {
  @Test func afterAStall() {
    var unread = UnreadMessages()
    func judges(_ hasReadAll: Bool, at seconds: Double) -> Bool {
      unread.letTimersBeJudged(hasReadAll: hasReadAll, now: .zero + seconds)
    }
    #expect(judges(true, at: 1))
    #expect(unread.since == nil)
    // 300 messages wait: the sixty-fifth to the last are unread, and nobody is taken for silent until they are not.
    for turn in 0..<4 { #expect(!judges(false, at: 20 + 0.01 * Double(turn))) }
    #expect(unread.since == Instant.zero + 20, "what waits is read without waiting for more")
    #expect(judges(true, at: 20.04))
    #expect(unread.since == nil)
  }

  @Test func aFlood() {
    var unread = UnreadMessages()
    let times = stride(from: 0, through: 7, by: 0.25).filter { seconds in
      unread.letTimersBeJudged(hasReadAll: false, now: .zero + seconds)
    }
    #expect(times == [2, 4, 6])
  }
}
