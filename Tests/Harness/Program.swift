import Foundation

/// The real programs, run as a user runs them.
package struct Program: Sendable {
  package struct Result {
    package let status: Int32
    package let output: String
    package let errors: String
    package var everything: String { output + errors }
  }

  package let name: String

  package static let coord = Program(name: "nl-coord")
  package static let worker = Program(name: "nl-worker")
  package static let tool = Program(name: "nl-tool")

  /// The folder that the build put all products in, this test runner among them.
  package static let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()

  /// The program's file, unless the name is a path already.
  private var executable: URL {
    name.hasPrefix("/") ? URL(fileURLWithPath: name) : Self.folder.appendingPathComponent(name)
  }

  package init(name: String) { self.name = name }

  /// Starts the program; its output goes to files, so that no pipe can fill up or be held open by a grandchild.
  ///
  /// - Parameter prefix: a command that runs the rest, as `ip netns exec HOST`; its path first.
  package func start(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], prefix: [String] = []
  ) throws -> Running {
    let scratch = try Scratch()
    let process = Process()
    process.executableURL = prefix.first.map { URL(fileURLWithPath: $0) } ?? executable
    process.arguments = (prefix.isEmpty ? [] : prefix.dropFirst() + [executable.path]) + arguments
    var variables = ProcessInfo.processInfo.environment
    variables.merge(environment) { $1 }
    process.environment = variables
    for file in ["output", "errors"] {
      _ = FileManager.default.createFile(atPath: scratch.path(file), contents: nil)
    }
    try Data(input.utf8).write(to: URL(fileURLWithPath: scratch.path("input")))
    process.standardInput = FileHandle(forReadingAtPath: scratch.path("input"))
    process.standardOutput = FileHandle(forWritingAtPath: scratch.path("output"))
    process.standardError = FileHandle(forWritingAtPath: scratch.path("errors"))
    try process.run()
    return Running(process: process, scratch: scratch)
  }

  /// Runs the program to its end.
  ///
  /// - Throws: `HarnessError` if that does not come in time; the program is killed then.
  package func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], seconds: Double = 120
  ) throws -> Result {
    try start(arguments, input: input, environment: environment).wait(seconds: seconds)
  }
}

/// A program at work.
package struct Running {
  package let process: Process
  package let scratch: Scratch

  package var id: Int32 { process.processIdentifier }
  package var output: String { (try? String(contentsOfFile: scratch.path("output"), encoding: .utf8)) ?? "" }
  package var errors: String { (try? String(contentsOfFile: scratch.path("errors"), encoding: .utf8)) ?? "" }

  /// - Throws: `HarnessError` if the program does not end in time; it is killed then.
  package func wait(seconds: Double = 120) throws -> Program.Result {
    let ended = waitUntil(seconds: seconds) { !process.isRunning }
    if !ended {
      kill(id, SIGKILL)
      let name = process.executableURL?.lastPathComponent ?? ""
      throw HarnessError("\(name) did not end within \(seconds) s: \(output)\(errors)")
    }
    process.waitUntilExit()
    return Program.Result(status: process.terminationStatus, output: output, errors: errors)
  }

  package func interrupt() { kill(id, SIGINT) }
  package func terminate() { kill(id, SIGKILL) }
}

/// What keeps a test from going on.
package struct HarnessError: Error, CustomStringConvertible {
  package let description: String

  package init(_ description: String) { self.description = description }
}

/// Looks every few milliseconds whether something has happened yet.
package func waitUntil(seconds: Double, _ condition: () -> Bool) -> Bool {
  let deadline = Date().addingTimeInterval(seconds)
  while !condition() {
    if Date() > deadline { return false }
    usleep(5000)
  }
  return true
}
