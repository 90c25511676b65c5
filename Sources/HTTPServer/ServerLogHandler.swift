import Logging

/// The log of a server, of which only what has gone wrong is of interest to the user of a trainer. It keeps nothing of what a
/// server puts to each request: nobody reads it, and to put it into words costs more than to answer.
struct ServerLogHandler: LogHandler {
  let log: Logger
  var logLevel = Logger.Level.error

  var metadata: Logger.Metadata {
    get { [:] }
    set {}
  }

  subscript(metadataKey key: String) -> Logger.Metadata.Value? {
    get { nil }
    set {}
  }

  func log(event: LogEvent) {
    log.log(level: event.level, event.message, metadata: event.metadata)
  }
}
