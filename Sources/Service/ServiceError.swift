/// Something that ends a run or keeps it from starting, with what the user can do about it.
public struct ServiceError: Error, Sendable, CustomStringConvertible {
  public let reason: String
  public let remedy: String?

  public init(_ reason: String, remedy: String? = nil) {
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { remedy.map { "\(reason) (\($0))" } ?? reason }
}
