/// What is wrong with a data file, where it stands, and what to do about it.
public struct DataError: Error, Sendable, Equatable, CustomStringConvertible {
  public let file: String
  /// 1-based; nil where the file as a whole is at fault.
  public let line: Int?
  /// The key of the row, or of the config, that is at fault.
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
