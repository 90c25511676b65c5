/// What is wrong with a model folder, an adapter or a tokenizer: the file, the name in it, and what to do.
public struct ModelError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The path of the file or folder.
  public let file: String
  /// The key, tensor, token or line that is at fault, where there is one.
  public let name: String?
  public let reason: String

  public init(file: String, name: String? = nil, _ reason: String) {
    self.file = file
    self.name = name
    self.reason = reason
  }

  public var description: String {
    name.map { "\(file): \($0): \(reason)" } ?? "\(file): \(reason)"
  }
}
