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
  ///   - minor: the minor version that this side speaks
  ///   - assumed: the one in which it writes to a side that it has not heard
  public init(minor: UInt8 = ProtocolVersion.minor, assumed: UInt8 = 0) {
    ownMinor = minor
    assumedMinor = assumed
  }

  /// The version in which the other side is written to.
  public var minor: UInt8 { min(ownMinor, peerMinor ?? assumedMinor) }

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
    of type: MessageType, work: RunTerm, session: SessionID, correlation: UInt64 = 0
  ) -> Envelope {
    Envelope(
      type: type, minor: minor, work: work, session: session, sequence: sent + 1, correlation: correlation)
  }

  /// That message is on its way.
  public mutating func hasSent() { sent += 1 }
}
