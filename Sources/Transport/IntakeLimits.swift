/// What connections may have sent that no whole message has been read of yet, in bytes: unfinished messages, and those
/// that wait. ZeroMQ itself limits frames and counts whole messages alone; a message of frames without end is in
/// neither count.
public struct IntakeLimits: Sendable, Equatable {
  /// Of a connection whose worker has not been welcomed: greeting, handshake and HELLO need less.
  public var strangerBytes = 64 << 10
  /// Of a worker's connection: the window of transfers, and the messages beside it.
  public var workerBytes = 32 << 20
  /// Of all strangers together, and of all connections; beyond that whoever has most goes first.
  public var allStrangersBytes = 64 << 20
  public var allBytes = 4 << 30
  /// How often the connections are looked at, in seconds; with very many, less often. What a connection carries in that
  /// time comes on top.
  public var period = 0.01

  public init() {}
}

/// A connection that was ended because of what it had sent.
struct IntakeExcess: Sendable, Equatable {
  /// The routing id of the last message that was read from it, if there was one.
  let peer: [UInt8]?
  /// What had come and was in no message that has been read, and what was allowed, in bytes.
  let bytes: Int
  let limit: Int
}
