import Coordination
import JSON
import WireProtocol

/// Who is answered when asking for the status, and with what: making the answer takes time that grows with workers and
/// shards, and anyone who may connect may ask.
struct StatusCache {
  /// An answer younger than this serves for the next, in seconds.
  static let age = 0.1
  /// Answers in a second: to one connection, and to all. Sending one that is made already costs little, and whoever asks
  /// honestly is not to wait because others do.
  static let perPeer = 5
  static let perSecond = 200
  /// Answers that are kept, about as many runs.
  static let mostKept = 64

  /// By run folder, as it was asked for.
  private var made: [String?: (time: Instant, status: JSONValue)] = [:]
  private var second = Instant.zero
  private var answered = 0
  private var answeredPeers: [PeerID: Int] = [:]

  /// - Parameter make: what the status is now
  /// - Returns: nil if there have been too many; nothing is to be said then.
  mutating func answer(to peer: PeerID, about folder: String?, now: Instant, make: () -> JSONValue)
    -> JSONValue?
  {
    if now.seconds(since: second) >= 1 { (second, answered, answeredPeers) = (now, 0, [:]) }
    guard answered < Self.perSecond, answeredPeers[peer, default: 0] < Self.perPeer else { return nil }
    answered += 1
    answeredPeers[peer, default: 0] += 1
    if let made = made[folder], now.seconds(since: made.time) < Self.age { return made.status }
    let status = make()
    if made.count >= Self.mostKept { made = [:] }
    made[folder] = (now, status)
    return status
  }
}
