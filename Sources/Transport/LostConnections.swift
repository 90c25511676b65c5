import WireProtocol

/// Connections that have ended and over which something had come.
public struct LostConnections: Sendable, Equatable {
  /// Those that are counted: over tcp. At most `limit`, so that whoever connects and goes costs nothing.
  public private(set) var peers: [PeerID] = []
  /// Whether a connection of this machine's own socket files has ended; whose, is not known.
  public var hasUncounted = false
  static let limit = 4096

  public var isEmpty: Bool { peers.isEmpty && !hasUncounted }

  mutating func add(_ peer: PeerID) {
    if peers.count < Self.limit { peers.append(peer) }
  }

  mutating func add(_ other: LostConnections) {
    for peer in other.peers { add(peer) }
    hasUncounted = hasUncounted || other.hasUncounted
  }
}
