/// Something that ends a run, with what its user can do about it.
public struct TrainingError: Error, Sendable, Equatable, CustomStringConvertible {
  public let reason: String
  public let remedy: String?

  public init(_ reason: String, remedy: String? = nil) {
    self.reason = reason
    self.remedy = remedy
  }

  public var description: String { remedy.map { "\(reason) (\($0))" } ?? reason }
}
