/// What one side keeps of a connection: the numbers of its messages, and the version that the other side speaks.
///
/// Messages come over a connection in the order in which they were sent, each once: 1, 2, 3 … Any other number says
/// that one was lost or came twice, and what was said is no longer known to both sides. Such a connection is given up,
/// at once instead of when some wait is over, and the worker joins again on a new one.
public struct Conversation: Sendable {
  private var sent: UInt64 = 0
  private var received: UInt64 = 0
  private let ownMinor: UInt8
  private let assumedMinor: UInt8
  private var peerMinor: UInt8?

  /// - Parameters:
  ///   - ownMinor: the minor version that this side speaks
  ///   - assumedMinor: the one in which it writes to a side that it has not heard
  public init(
    ownMinor: UInt8 = ProtocolVersion.minor, assumedMinor: UInt8 = ProtocolVersion.oldestMinor
  ) {
    self.ownMinor = ownMinor
    self.assumedMinor = assumedMinor
  }

  /// The version in which the other side is written to.
  public var minor: UInt8 { min(ownMinor, peerMinor ?? assumedMinor) }

  /// What the other side has spoken; the oldest before it has.
  public var heardMinor: UInt8 { peerMinor ?? ProtocolVersion.oldestMinor }

  /// Takes the envelope of a message that has come.
  ///
  /// - Throws: `ProtocolError` of kind `sequence` unless it is the next one; then nothing of it is to be used.
  public mutating func take(_ envelope: Envelope) throws(ProtocolError) {
    guard envelope.sequence == received + 1 else {
      throw ProtocolError(.sequence, "number \(envelope.sequence) came after \(received)")
    }
    received = envelope.sequence
    peerMinor = envelope.minor
  }

  /// The envelope of the next message to be sent.
  public func envelope(
    of type: MessageType, term: UInt64, session: SessionID, correlation: UInt64 = 0
  ) -> Envelope {
    Envelope(
      type: type, minor: minor, term: term, session: session, sequence: sent + 1, correlation: correlation)
  }

  /// That message is on its way.
  public mutating func hasSent() { sent += 1 }
}
