import Foundation
import Logging
import Observability

/// How a program is looked after: its log, its health and metrics, and how long it may take to end.
public struct OperationsOptions: Sendable {
  /// Where `/healthz`, `/readyz` and `/metrics` are answered, and by what; nil for nowhere.
  var address: (host: String, port: Int, endpoint: any OperationsEndpoint.Type)?
  /// Without it `/metrics` is not shown; nil shows it to everyone who reaches the address.
  var token: String?
  public var logFormat = LogFormat.text
  /// Nil for the program's own.
  public var logLevel: Logger.Level?
  /// After SIGTERM, in seconds: how long what is at hand may be finished.
  public var graceSeconds = 30.0

  public init() {}

  /// Answers on `ADDR:PORT`. What it says is nobody else's business, so beyond loopback it takes a token.
  ///
  /// - Parameters:
  ///   - tokenFile: a file that holds the token, white space around it aside
  ///   - endpoint: what answers there
  /// - Throws: `ServiceError` that names the flag and the remedy.
  public mutating func answer(
    on text: String, tokenFile: String?, by endpoint: any OperationsEndpoint.Type
  ) throws {
    guard let host = TCPAddress.host(of: "tcp://\(text)"), let colon = text.lastIndex(of: ":"),
      let port = Int(text[text.index(after: colon)...])
    else {
      throw ServiceError(
        "--metrics-listen \(text) is not of the form ADDR:PORT", remedy: "e.g. 127.0.0.1:9464")
    }
    if tokenFile == nil && !TCPAddress.isLoopback(host) {
      throw ServiceError(
        "--metrics-listen \(text) shows the run's metrics to other machines",
        remedy: "give --metrics-token FILE, whose content a reader has to bear, or listen on 127.0.0.1")
    }
    address = (host.trimmingCharacters(in: ["[", "]"]), port, endpoint)
    token = try tokenFile.map { try Self.token(in: $0, flag: "--metrics-token") }
  }

  /// What a file says that a client has to bear.
  package static func token(in file: String, flag: String) throws -> String {
    guard let text = try? String(contentsOfFile: file, encoding: .utf8) else {
      throw ServiceError("\(flag) \(file) cannot be read")
    }
    let token = text.trimmingCharacters(in: .whitespacesAndNewlines)
    guard token.utf8.count >= 16, token.utf8.allSatisfy({ (0x21...0x7e).contains($0) }) else {
      throw ServiceError(
        "the token in \(file) is not one of at least 16 visible ASCII characters",
        remedy: "make one with: head -c 32 /dev/urandom | base64 > \(file)")
    }
    return token
  }

  /// - Parameter also: is given every line too
  func logger(
    label: String, level: Logger.Level, context: LogContext, also: (any LogHandler)? = nil
  ) -> Logger {
    logFormat.logger(label: label, level: logLevel ?? level, context: context, also: also)
  }
}
