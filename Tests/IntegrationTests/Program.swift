import Foundation
import JSON
import Testing

/// The real programs, run as a user runs them.
struct Program {
  struct Result {
    let status: Int32
    let output: String
    let errors: String
    var everything: String { output + errors }
  }

  let name: String

  static let coord = Program(name: "nl-coord")
  static let worker = Program(name: "nl-worker")
  static let nl = Program(name: "nl")

  /// The folder that the build put all products in, this test runner among them.
  static let folder = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    .deletingLastPathComponent()

  /// Starts the program; its output goes to files, so that no pipe can fill up or be held open by a grandchild.
  func start(_ arguments: [String], input: String = "", environment: [String: String] = [:]) throws -> Running
  {
    let scratch = try Scratch()
    let process = Process()
    process.executableURL = Self.folder.appendingPathComponent(name)
    process.arguments = arguments
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

  /// Runs the program to its end; killed, and a failure recorded, if that does not come in time.
  func run(
    _ arguments: [String], input: String = "", environment: [String: String] = [:], seconds: Double = 120
  ) throws -> Result {
    try start(arguments, input: input, environment: environment).wait(seconds: seconds)
  }
}

/// A program at work.
struct Running {
  let process: Process
  let scratch: Scratch

  var output: String { (try? String(contentsOfFile: scratch.path("output"), encoding: .utf8)) ?? "" }
  var errors: String { (try? String(contentsOfFile: scratch.path("errors"), encoding: .utf8)) ?? "" }

  func wait(seconds: Double = 120) throws -> Program.Result {
    let ended = waitUntil(seconds: seconds) { !process.isRunning }
    if !ended {
      kill(process.processIdentifier, SIGKILL)
      Issue.record(
        "\(process.executableURL?.lastPathComponent ?? "") did not end within \(seconds) s: \(output)\(errors)"
      )
    }
    process.waitUntilExit()
    return Program.Result(status: process.terminationStatus, output: output, errors: errors)
  }

  func interrupt() { kill(process.processIdentifier, SIGINT) }
  func terminate() { kill(process.processIdentifier, SIGKILL) }
}

/// Looks every few milliseconds whether something has happened yet.
func waitUntil(seconds: Double, _ condition: () -> Bool) -> Bool {
  let deadline = Date().addingTimeInterval(seconds)
  while !condition() {
    if Date() > deadline { return false }
    usleep(5000)
  }
  return true
}

/// A folder of a test's own, gone when the last holder is.
final class Scratch: Sendable {
  let folder: String

  init() throws {
    folder = NSTemporaryDirectory() + "nl-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  func path(_ name: String) -> String { folder + "/" + name }

  @discardableResult func write(_ name: String, _ text: String) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path(name)))
    return path(name)
  }
}

/// What the repository holds for tests.
enum Fixtures {
  static let root = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
    .appendingPathComponent("LanguageModelTests/Fixtures").path

  static func path(_ name: String) -> String { root + "/" + name }

  static func json(_ name: String) throws -> JSONValue {
    try JSONValue(parsing: Data(contentsOf: URL(fileURLWithPath: path(name))))
  }
}

/// The rows of a JSONL file.
func rows(_ path: String) throws -> [JSONValue] {
  try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
    try JSONValue(parsing: String($0))
  }
}
