import Coordination
import WireProtocol

/// When the fleet was last told that bytes of a worker's transfers move. It need not hear of each chunk: with 64 workers
/// and 17.6 MB that was a third of the coordinator's time.
struct Movements {
  private static let seconds = 0.1

  private var told: [PeerID: (work: RunTerm, time: Instant)] = [:]

  /// - Parameter peer: a worker's connection; to be forgotten when it has gone.
  /// - Returns: whether the fleet is to be told.
  mutating func isNews(of peer: PeerID, work: RunTerm, now: Instant) -> Bool {
    if let last = told[peer], last.work == work, now.seconds(since: last.time) < Self.seconds { return false }
    told[peer] = (work, now)
    return true
  }

  mutating func forget(_ peer: PeerID) { told[peer] = nil }
}
