import WireProtocol

/// Workers on tcp whose messages have moved without being whole: over a slow connection a long one takes longer than a
/// peer may be silent, or may make no progress, and what it would say meanwhile waits behind it.
public struct MovingMessages: Sendable, Equatable {
  /// Those of whose messages a part has come that is in no message yet.
  public var arriving: [PeerID] = []
  /// Those whose kernel has taken `leastBytes` or more of what was sent to them.
  public var leaving: [PeerID] = []

  /// More than the small messages of a second.
  static let leastBytes = 4096
}
