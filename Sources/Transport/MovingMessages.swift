import WireProtocol

/// Workers on tcp whose long messages move: over a slow connection one takes longer than a peer may be silent, or may make
/// no progress, and what it would say meanwhile waits behind it.
public struct MovingMessages: Sendable, Equatable {
  /// Those of which `leastBytes` or more have come, whether in a whole message yet or not.
  public var arriving: [PeerID] = []
  /// Those whose kernel has taken as many of what was sent to them.
  public var leaving: [PeerID] = []

  /// More than all signs of life between two looks: a worker whose arithmetic hangs still sends these, and
  /// they are no progress.
  static let leastBytes = 1024
  /// Between two looks, in seconds.
  public static let period = 0.25
}
