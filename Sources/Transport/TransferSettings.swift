import WireProtocol

/// How messages with large objects are sent. Times are in seconds.
public struct TransferSettings: Sendable, Equatable {
  /// A message whose objects have more bytes than this together is sent as a transfer; no message carries more than
  /// `WireLimits.payloadBytes` itself.
  public var inlineBytes = WireLimits.payloadBytes
  /// Bytes of transfers that may be under way from one peer to another. Less than two chunks count as two: with the
  /// rest of a chunk that there is no credit for, there must be room for another.
  public var windowBytes = 4 << 20
  /// Transfers that may be open at once in each direction of a connection.
  public var openTransfers = 8
  /// How often a transfer is offered before its damage counts as that of the connection.
  public var tries = 3
  /// Messages that wait for their turn behind transfers before the peer counts as congested.
  public var waitingMessages = 4096
  /// Without any progress for so long, a transfer ends, and its peer counts as lost.
  public var stallSeconds = 30.0

  /// Bytes of transfers that did not end that are kept, and for how long, in seconds, for when the same content is
  /// offered again.
  public var keptBytes = 64 << 20
  public var keptSeconds = 120.0

  public init() {}

  var window: Int { max(windowBytes, 2 * WireLimits.chunkBytes) }
}

/// A transfer that is under way: a wait with its reason.
public struct TransferStatus: Sendable, Equatable {
  /// The message that it stands for.
  public let message: String
  /// Whether it goes out.
  public let isOutgoing: Bool
  /// Bytes sent or received, and all of them.
  public let bytes: Int
  public let totalBytes: Int
  /// How long nothing has moved, in seconds.
  public let idleSeconds: Double
  /// Messages that wait behind it.
  public let waitingMessages: Int

  public var description: String {
    let way = isOutgoing ? "sent" : "received"
    let behind = waitingMessages > 0 ? ", \(waitingMessages) messages wait behind it" : ""
    return "\(message): \(bytes) of \(totalBytes) bytes \(way), nothing for \(Int(idleSeconds)) s\(behind)"
  }
}

/// What an envelope says besides the type and the sequence.
struct Address: Sendable, Equatable {
  var work: RunTerm
  var session: SessionID
  var correlation: UInt64
}

extension Message {
  /// Whether this may not overtake what was sent before it: parameters come before the shard that needs them, a
  /// result before the farewell.
  var keepsOrder: Bool {
    switch self {
    case .parameters, .window, .assign, .result, .goodbye, .drained: true
    default: false
    }
  }
}
