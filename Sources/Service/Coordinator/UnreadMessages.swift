import Coordination

/// Messages that have come and are not read yet keep timers from being judged: after a stall of this process, or of the
/// machine, workers whose signs of life are unread would be taken for silent. Not for ever, or a flood of messages could
/// keep everything waiting.
struct UnreadMessages {
  /// How long they may keep the timers from being judged.
  static let mostSeconds = 2.0

  /// Since when more has come than was read; nil if all is read.
  private(set) var since: Instant?

  /// After a turn that has read all that there was, or as much as one turn reads.
  ///
  /// - Returns: whether the timers are to be judged now
  mutating func letTimersBeJudged(hasReadAll: Bool, now: Instant) -> Bool {
    guard !hasReadAll else {
      since = nil
      return true
    }
    guard let begin = since, now.seconds(since: begin) >= Self.mostSeconds else {
      since = since ?? now
      return false
    }
    since = now
    return true
  }
}
