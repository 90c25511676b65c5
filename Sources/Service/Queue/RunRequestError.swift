/// Why something that was asked for is not done, what of the request is to blame, and what helps.
public struct RunRequestError: Error, Sendable, CustomStringConvertible {
  public enum Kind: Sendable {
    /// The request itself is wrong.
    case invalid
    /// As things stand it cannot be done.
    case conflict
    case unknown
    /// Too much of it at once.
    case tooMany
    case tooLarge
    /// The disk, or something else that this program needs, does not do its part.
    case unavailable
  }

  public let kind: Kind
  public let reason: String
  /// The config key, or the parameter; nil if it is none of them.
  public let field: String?
  public let hint: String?

  public init(_ kind: Kind, _ reason: String, field: String? = nil, hint: String? = nil) {
    self.kind = kind
    self.reason = reason
    self.field = field
    self.hint = hint
  }

  public var description: String { hint.map { "\(reason) (\($0))" } ?? reason }
}
