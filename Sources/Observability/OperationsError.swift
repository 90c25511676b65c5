/// Why those who look after the program cannot be answered.
public struct OperationsError: Error, Sendable, CustomStringConvertible {
  public let description: String

  public init(_ description: String) { self.description = description }
}
