import Coordination
import Files
import Foundation
import Service

/// A real coordinator at work on a benchmark's run, as a process of its own.
final class MeasuredCoordinator: Sendable {
  /// How long it may take to listen, and to end when it is told to, in seconds.
  private static let startSeconds = 120.0
  private static let endSeconds = 5.0

  private let run: BenchmarkRun
  private let process: Process
  private let log: String

  /// Starts it.
  ///
  /// - Throws: `ServiceError` if there is no `nl-coord` beside this program, or it cannot be run.
  init(run: BenchmarkRun) throws {
    self.run = run
    log = run.configFile + ".log"
    try AtomicFile.write([], to: log)
    guard let output = FileHandle(forWritingAtPath: log) else {
      throw FileError(path: log, doing: "writing", code: errno)
    }
    let process = Process()
    process.executableURL = try SiblingProgram.find("nl-coord")
    process.arguments = [
      "train", "--config", run.configFile, "--local-workers", "0", "--listen", "tcp://127.0.0.1:0",
    ]
    process.standardInput = FileHandle.nullDevice
    process.standardOutput = output
    process.standardError = output
    do { try process.run() } catch { throw ServiceError("nl-coord cannot be started: \(error)") }
    self.process = process
  }

  var isRunning: Bool { process.isRunning }

  /// What it has used so far; nil once it has ended.
  var usage: ProcessUsage? { ProcessUsage(process: process.processIdentifier) }

  /// Where workers can join, once it listens.
  ///
  /// - Throws: `ServiceError` if it does not come to that, with what it has said.
  func endpoint(_ transport: PlainSocket.Transport, _ interruption: Interruption) throws -> String {
    let end = MonotonicClock.now() + Self.startSeconds
    while MonotonicClock.now() < end {
      if let endpoint = transport == .tcp ? tcpEndpoint : ipcEndpoint { return endpoint }
      guard isRunning else { throw failure("nl-coord has ended") }
      try interruption.check()
      usleep(5000)
    }
    throw failure("nl-coord did not listen within \(Int(Self.startSeconds)) s")
  }

  /// Its log says the port that was chosen; by then the file with the other address is about to be there.
  private var tcpEndpoint: String? {
    guard ipcEndpoint != nil, let start = said.range(of: "listening on ")?.upperBound else { return nil }
    return said[start...].split(whereSeparator: \.isWhitespace).first.map(String.init)
  }

  private var ipcEndpoint: String? { CoordinatorAddress.living(in: run.runFolder) }

  private var said: String {
    (try? AtomicFile.read(log)).map { String(decoding: $0, as: UTF8.self) } ?? ""
  }

  /// An error with the last that the coordinator has said.
  func failure(_ reason: String) -> ServiceError {
    let lines = said.split(whereSeparator: \.isNewline).suffix(5).joined(separator: "\n")
    return ServiceError(reason + (lines.isEmpty ? "" : ", having said:\n\(lines)"))
  }

  /// After its last step: waits until it has written what it has to.
  ///
  /// - Throws: `ServiceError` if it fails.
  func finish(_ interruption: Interruption) throws {
    while isRunning {
      try interruption.check()
      usleep(10_000)
    }
    guard process.terminationStatus == 0 else { throw failure("nl-coord has failed") }
  }

  /// Ends it if it is still at work, politely at first: its socket's folder lies beyond the benchmark's own.
  func end() {
    let end = MonotonicClock.now() + Self.endSeconds
    // Before it has an address nobody could clear away what it leaves.
    while isRunning, ipcEndpoint == nil, MonotonicClock.now() < end { usleep(10_000) }
    // The first signal ends the run after the step at hand, the second at once.
    while isRunning, MonotonicClock.now() < end {
      kill(process.processIdentifier, SIGTERM)
      usleep(100_000)
    }
    if isRunning { kill(process.processIdentifier, SIGKILL) }
    process.waitUntilExit()
    CoordinatorAddress.removeLeftOver(in: run.runFolder)
  }
}
