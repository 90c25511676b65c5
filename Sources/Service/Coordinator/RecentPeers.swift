import WireProtocol

/// The last few connections of a kind, in their order, so that a list of those that come and go stays bounded.
struct RecentPeers {
  let limit: Int
  private var peers: [PeerID] = []

  init(limit: Int) { self.limit = limit }

  /// - Returns: whether it was not there.
  mutating func insert(_ peer: PeerID) -> Bool {
    guard !peers.contains(peer) else { return false }
    _ = push(peer)
    return true
  }

  /// - Returns: the oldest, if it had to make room.
  mutating func push(_ peer: PeerID) -> PeerID? {
    guard !peers.contains(peer) else { return nil }
    peers.append(peer)
    return peers.count > limit ? peers.removeFirst() : nil
  }

  mutating func remove(_ peer: PeerID) { peers.removeAll { $0 == peer } }
}
