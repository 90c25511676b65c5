import Foundation

/// What a request was answered.
package struct HTTPAnswer: Sendable, Equatable {
  package let status: String
  package let body: String

  package init(_ status: String, _ body: String) { (self.status, self.body) = (status, body) }
}

/// What a GET request to a port of this machine is answered, by the shell's own sockets, so that a test does not lean on
/// the code that it tests.
package func get(
  _ port: Int, _ path: String, headers: [String] = []
) throws -> HTTPAnswer {
  let process = Process()
  let output = Pipe()
  let lines = (["GET \(path) HTTP/1.1", "Host: 127.0.0.1", "Connection: close"] + headers + ["", ""])
  let request = lines.joined(separator: "\r\n")
  process.executableURL = URL(fileURLWithPath: "/bin/bash")
  process.arguments = [
    "-c", "exec 3<>/dev/tcp/127.0.0.1/\(port) && printf %s \"$1\" >&3 && cat <&3", "get", request,
  ]
  process.standardOutput = output
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
  let status = parts.first?.split(separator: " ").dropFirst().first.map(String.init) ?? ""
  return HTTPAnswer(status, parts.count > 1 ? String(parts[1]) : "")
}
