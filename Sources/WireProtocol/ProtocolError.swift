/// Why a message was refused: nothing of it has been used.
public struct ProtocolError: Error, Sendable, Equatable, CustomStringConvertible {
  public enum Kind: String, Sendable {
    /// Not a message of this protocol at all.
    case magic
    /// Another major version, or a minor version that this side does not speak.
    case version
    /// The fixed header does not have its length, its checksum or its reserved zeros.
    case header
    /// A type number that this version does not use.
    case type
    /// Longer, larger or more than is allowed.
    case limit
    /// Frames are missing, too many, or of the wrong length.
    case frames
    /// The control body is not what its checksum or JSON demands.
    case body
    /// A field of the control body is missing or has a value that it cannot have.
    case field
    /// A chunk is damaged or out of order.
    case chunk
    /// The payload is not what its checksum demands.
    case payload
    /// An object does not have the SHA-256 that was announced for it.
    case digest
    /// A transfer went on in a way that was not agreed upon.
    case transfer
    /// A transfer has not moved for too long.
    case stalled
    /// The sequence number did not grow: a message came twice or out of order.
    case sequence
  }

  public let kind: Kind
  public let reason: String

  public init(_ kind: Kind, _ reason: String) {
    self.kind = kind
    self.reason = reason
  }

  public var description: String { "message refused (\(kind.rawValue)): \(reason)" }
}
