import Synchronization

/// How often each address may ask, and guess the token.
final class RequestLimits: Sendable {
  private struct Counts: Sendable {
    var second: Int64 = 0
    var requests = 0
    var minute: Int64 = 0
    var wrong = 0
  }

  static let requestsPerSecond = 1000
  static let guessesPerMinute = 10
  /// Addresses that are remembered; the oldest are forgotten all together.
  private static let mostPeers = 4096
  private let peers = Mutex<[String: Counts]>([:])
  private let start = ContinuousClock.now

  /// Counts a request.
  func allows(_ peer: String) -> Bool {
    change(peer) { counts, second in
      if counts.second != second { (counts.second, counts.requests) = (second, 0) }
      counts.requests += 1
      return counts.requests <= Self.requestsPerSecond
    }
  }

  func mayGuess(_ peer: String) -> Bool {
    change(peer) { counts, second in
      if counts.minute != second / 60 { (counts.minute, counts.wrong) = (second / 60, 0) }
      return counts.wrong < Self.guessesPerMinute
    }
  }

  func guessedWrongly(_ peer: String) { change(peer) { counts, _ in counts.wrong += 1 } }

  private func change<Value: Sendable>(_ peer: String, _ body: (inout Counts, Int64) -> Value) -> Value {
    let second = (ContinuousClock.now - start).components.seconds
    return peers.withLock { peers in
      if peers[peer] == nil, peers.count >= Self.mostPeers { peers = [:] }
      var counts = peers[peer] ?? Counts()
      defer { peers[peer] = counts }
      return body(&counts, second)
    }
  }
}
