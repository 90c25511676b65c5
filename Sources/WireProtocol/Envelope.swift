/// What every message carries in its fixed header.
public struct Envelope: Sendable, Hashable {
  public var type: MessageType
  /// The minor version that the message is written in: its sender's, or an older one that its receiver speaks.
  public var minor: UInt8
  /// The coordinator's term. A worker's HELLO carries the highest term that it has seen (0: none).
  public var term: UInt64
  /// The worker's session; `none` in HELLO, and in a REJECT of a HELLO.
  public var session: SessionID
  /// 1, 2, … for each connection and direction: see `Conversation`.
  public var sequence: UInt64
  /// The sequence number of the message that this one answers; 0: none.
  public var correlation: UInt64

  public init(
    type: MessageType, minor: UInt8 = ProtocolVersion.minor, term: UInt64 = 0, session: SessionID = .none,
    sequence: UInt64 = 0, correlation: UInt64 = 0
  ) {
    self.type = type
    self.minor = minor
    self.term = term
    self.session = session
    self.sequence = sequence
    self.correlation = correlation
  }
}

/// The version that this side speaks, and those that it accepts.
public enum ProtocolVersion {
  public static let major: UInt8 = 1
  public static let minor: UInt8 = 1
  /// The oldest minor version that is spoken with those who know no newer one.
  public static let oldestMinor: UInt8 = 0
  /// Its own minor version and the one before.
  public static func accepts(minor other: UInt8) -> Bool { (oldestMinor...minor).contains(other) }
}
