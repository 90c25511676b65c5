import ArgumentParser
import HTTPServer
import Observability
import Service

/// How a program is looked after; the same for coordinator and worker.
public struct OperationsFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Answer GET /healthz, /readyz and /metrics (Prometheus) here, e.g. 127.0.0.1:9464.",
      valueName: "addr:port"))
  var metricsListen: String?

  @Option(
    help: ArgumentHelp(
      "A file whose content a reader of /metrics has to bear as a token; needed beyond this machine.",
      valueName: "file"))
  var metricsToken: String?

  @Option(help: "The log on standard error: text, or json with one object a line.")
  var logFormat: LogFormat = .text

  @Option(
    help: ArgumentHelp(
      "How much is logged: debug (every hand-out), info, notice, warning or error.", valueName: "level"))
  var logLevel: LogLevel?

  @Option(
    help: ArgumentHelp(
      "After SIGTERM, how long what is at hand may be finished before the program ends at once.",
      valueName: "seconds"))
  var grace: Double = 30

  public init() {}

  public func validate() throws {
    guard grace >= 0 && grace <= 86_400 else {
      throw ValidationError("--grace must be from 0 to 86400 seconds")
    }
    if metricsToken != nil && metricsListen == nil {
      throw ValidationError("--metrics-token is for --metrics-listen ADDR:PORT")
    }
  }

  /// - Throws: if the address or the token cannot be used.
  public func options() throws -> OperationsOptions {
    var options = OperationsOptions()
    options.logFormat = logFormat
    options.logLevel = logLevel?.level
    options.graceSeconds = grace
    if let metricsListen {
      try options.answer(on: metricsListen, tokenFile: metricsToken, by: OperationsServer.self)
    }
    return options
  }
}

extension LogFormat: ExpressibleByArgument {}
extension LogLevel: ExpressibleByArgument {}
