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
  /// - Parameters:
  ///   - context: what JSON lines say besides; lines for people do without.
  ///   - also: is given every line too
  public func logger(
    label: String, level: Logger.Level, context: LogContext = LogContext(), also: (any LogHandler)? = nil
  ) -> Logger {
    var logger = Logger(label: label) { label in
      let own: any LogHandler =
        switch self {
        case .text: StreamLogHandler.standardError(label: label)
        case .json: JSONLogHandler(label: label, context: context)
        }
      return also.map { MultiplexLogHandler([own, $0]) } ?? own
    }
    logger.logLevel = level
    return logger
  }
}
