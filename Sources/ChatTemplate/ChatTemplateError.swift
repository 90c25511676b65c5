/// What is wrong with a chat template, or with a conversation that it refuses.
public struct ChatTemplateError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The path of the template's file, or the name that it was given.
  public let template: String
  /// 1-based line of the template; nil where the template as a whole is at fault.
  public let line: Int?
  public let reason: String

  public init(template: String, line: Int? = nil, _ reason: String) {
    self.template = template
    self.line = line
    self.reason = reason
  }

  /// `FILE:LINE: REASON`.
  public var description: String {
    (line.map { "\(template):\($0)" } ?? template) + ": " + reason
  }
}
