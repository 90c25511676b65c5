/// What every message carries in its fixed header.
public struct Envelope: Sendable, Hashable {
  public var type: MessageType
  /// The minor version that the message is written in: its sender's, or an older one that its receiver speaks.
  public var minor: UInt8
  /// The run that the message is about, and the term in which its coordinator has it; `none` in what concerns the
  /// connection alone.
  public var work: RunTerm
  /// The worker's session; `none` in HELLO, and in a REJECT of a HELLO.
  public var session: SessionID
  /// 1, 2, … for each connection and direction: see `Conversation`.
  public var sequence: UInt64
  /// The sequence number of the message that this one answers; 0: none.
  public var correlation: UInt64

  public init(
    type: MessageType, minor: UInt8 = ProtocolVersion.minor, work: RunTerm = .none,
    session: SessionID = .none, sequence: UInt64 = 0, correlation: UInt64 = 0
  ) {
    self.type = type
    self.minor = minor
    self.work = work
    self.session = session
    self.sequence = sequence
    self.correlation = correlation
  }
}

/// The version that this side speaks, and those that it accepts.
public enum ProtocolVersion {
  public static let major: UInt8 = 2
  public static let minor: UInt8 = 0

  /// A side reads its own minor version and the one before.
  ///
  /// - Parameter own: what it speaks itself; another than `minor` for tests alone
  public static func accepts(minor other: UInt8, own: UInt8 = minor) -> Bool {
    other == own || own > 0 && other == own - 1
  }
}
