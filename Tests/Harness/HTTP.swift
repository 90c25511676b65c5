import Foundation

/// What a request was answered.
package struct HTTPAnswer: Sendable, Equatable {
  package let status: String
  package let body: String
  /// The lines before the body.
  package let head: String

  package init(_ status: String, _ body: String, head: String = "") {
    (self.status, self.body, self.head) = (status, body, head)
  }

  package static func == (a: HTTPAnswer, b: HTTPAnswer) -> Bool { a.status == b.status && a.body == b.body }
}

/// What a GET request to a port of this machine is answered.
package func get(
  _ port: Int, _ path: String, headers: [String] = []
) throws -> HTTPAnswer {
  try ask(port, "GET", path, headers: ["Host: 127.0.0.1"] + headers)
}

/// What a request to a port of this machine is answered, by the shell's own sockets, so that a test does not lean on the
/// code that it tests.
///
/// - Parameter headers: those of the request, Host among them, but not those of its connection and length
package func ask(
  _ port: Int, _ method: String, _ path: String, headers: [String], body: String? = nil
) throws -> HTTPAnswer {
  let scratch = try Scratch()
  let process = Process()
  let output = Pipe()
  let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
  let lines = ["\(method) \(path) HTTP/1.1", "Connection: close"] + headers + length + ["", body ?? ""]
  let request = try scratch.write("request", lines.joined(separator: "\r\n"))
  process.executableURL = URL(fileURLWithPath: "/bin/bash")
  process.arguments = [
    "-c", "exec 3<>/dev/tcp/127.0.0.1/\(port) && cat \"$1\" >&3 && cat <&3", "ask", request,
  ]
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  try process.run()
  let text = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
  let status = parts.first?.split(separator: " ").dropFirst().first.map(String.init) ?? ""
  return HTTPAnswer(status, parts.count > 1 ? String(parts[1]) : "", head: parts.first.map(String.init) ?? "")
}
