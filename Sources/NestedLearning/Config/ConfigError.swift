/// What is wrong with a config, where it stands, and what to do about it.
public struct ConfigError: Error, Sendable, Equatable, CustomStringConvertible {
  /// The config file as it was named, or "the command line" for a flag.
  public let file: String
  /// 1-based line of the key; nil where there is none (a flag, a key that is missing).
  public let line: Int?
  public let key: String?
  public let reason: String
  public let remedy: String?

  public init(file: String, line: Int? = nil, key: String? = nil, reason: String, remedy: String? = nil) {
    self.file = file
    self.line = line
    self.key = key
    self.reason = reason
    self.remedy = remedy
  }

  /// `FILE:LINE: KEY: REASON; REMEDY`, without the parts that are not there.
  public var description: String {
    let place = line.map { "\(file):\($0)" } ?? file
    return [place, key, reason].compactMap(\.self).joined(separator: ": ") + (remedy.map { "; \($0)" } ?? "")
  }
}
