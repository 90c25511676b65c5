import Logging

/// How much a program logs: everything from this level on.
public enum LogLevel: String, Sendable, CaseIterable {
  case debug, info, notice, warning, error

  /// The same for a logger.
  public var level: Logger.Level {
    switch self {
    case .debug: .debug
    case .info: .info
    case .notice: .notice
    case .warning: .warning
    case .error: .error
    }
  }
}
