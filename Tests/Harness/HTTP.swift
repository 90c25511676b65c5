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

  /// As it was received, with its head.
  init(_ text: String) {
    let parts = text.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
    let status = parts.first?.split(separator: " ").dropFirst().first.map(String.init) ?? ""
    self.init(status, parts.count > 1 ? String(parts[1]) : "", head: parts.first.map(String.init) ?? "")
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
  let length = body.map { ["Content-Length: \($0.utf8.count)"] } ?? []
  let lines = ["\(method) \(path) HTTP/1.1", "Connection: close"] + headers + length + ["", body ?? ""]
  let text = try exchange(port, lines.joined(separator: "\r\n"))
  return HTTPAnswer(text)
}

/// What several GET requests on one connection of this machine are answered, sent all at once.
///
/// - Parameters:
///   - requests: the path of each, with lines of its head
///   - closes: whether the last asks for the end of the connection; otherwise the server has to end it
package func askTogether(
  _ port: Int, _ requests: [(path: String, headers: [String])], closes: Bool = true
) throws -> [HTTPAnswer] {
  var rest = try exchange(
    port,
    requests.enumerated().map { number, request in
      let lines = request.headers + (closes && number == requests.count - 1 ? ["Connection: close"] : [])
      return (["GET \(request.path) HTTP/1.1"] + lines + ["", ""]).joined(separator: "\r\n")
    }.joined())[...]
  var answers: [HTTPAnswer] = []
  while !rest.isEmpty {
    guard let end = rest.range(of: "\r\n\r\n"),
      let length = rest[..<end.lowerBound].firstMatch(of: #/(?i)content-length: *([0-9]+)/#).flatMap({
        Int($0.1)
      }),
      let last = rest.utf8.index(end.upperBound, offsetBy: length, limitedBy: rest.endIndex)
    else { throw HarnessError("no whole answer: \(rest)") }
    answers.append(HTTPAnswer(String(rest[..<last])))
    rest = rest[last...]
  }
  return answers
}

/// What several texts on one connection of this machine are answered, each sent when the answer to the one before is there.
package func askInTurn(_ port: Int, _ texts: [String]) throws -> [HTTPAnswer] {
  let scratch = try Scratch()
  let script = """
    exec 3<>/dev/tcp/127.0.0.1/\(port)
    for request in "$@"; do
      cat "$request" >&3
      {
        while IFS= read -r -t 120 line <&3; do
          printf '%s\\n' "$line"
          case $line in
            [Cc]ontent-[Ll]ength:*) length=${line#*: } ;;
            $'\\r') break ;;
          esac
        done
        timeout 120 head -c "${length%$'\\r'}" <&3
      } >"$request.answer"
    done
    """
  let requests = try texts.enumerated().map { number, text in try scratch.write("request-\(number)", text) }
  _ = try run(script, requests)
  return try requests.map { HTTPAnswer(try String(contentsOfFile: $0 + ".answer", encoding: .utf8)) }
}

/// Everything that a port of this machine says to a text until it closes the connection, for which it has two minutes.
private func exchange(_ port: Int, _ text: String) throws -> String {
  let scratch = try Scratch()
  return try run(
    "exec 3<>/dev/tcp/127.0.0.1/\(port) && cat \"$1\" >&3 && timeout 120 cat <&3",
    [scratch.write("request", text)])
}

/// What a script of the shell says.
private func run(_ script: String, _ arguments: [String]) throws -> String {
  let process = Process()
  let output = Pipe()
  process.executableURL = URL(fileURLWithPath: "/bin/bash")
  process.arguments = ["-c", script, "ask"] + arguments
  process.standardOutput = output
  process.standardError = FileHandle.nullDevice
  try process.run()
  let said = String(decoding: output.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
  process.waitUntilExit()
  guard process.terminationStatus != 124 else { throw HarnessError("the connection was not closed: \(said)") }
  return said
}
