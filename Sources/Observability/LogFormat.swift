import JSON
import Logging

/// How a program's log lines look.
public enum LogFormat: String, Sendable, CaseIterable {
  /// For people.
  case text
  /// One JSON object a line, for programs that gather logs.
  case json

  /// A logger that writes to standard error.
  ///
  /// - Parameter context: what JSON lines say besides; lines for people do without.
  public func logger(label: String, level: Logger.Level, context: LogContext = LogContext()) -> Logger {
    var logger = Logger(label: label) { label in
      switch self {
      case .text: StreamLogHandler.standardError(label: label)
      case .json: JSONLogHandler(label: label, context: context)
      }
    }
    logger.logLevel = level
    return logger
  }
}
