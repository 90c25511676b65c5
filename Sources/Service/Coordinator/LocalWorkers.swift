import Foundation
import Logging
import Observability
import WireProtocol

/// The worker processes that a coordinator starts on its own machine: started again when they die, gone when the
/// coordinator is.
///
/// Every method is called by the coordinator's thread; deaths are reported through `onExit` from another.
final class LocalWorkers {
  /// One child that ended: its number among the local workers, and why.
  struct Exit: Sendable {
    let index: Int
    let reason: String
  }

  private let endpoint: String
  private let threads: Int
  private let logFormat: LogFormat
  /// Whether one that keeps ending is tried again after a while, on and on, and ends nobody else.
  private let isPatient: Bool
  private let executable: URL
  private let logger: Logger
  private let onExit: @Sendable (Exit) -> Void
  private var children: [Int: Child] = [:]
  private var stopping = false
  /// Those that are not started again.
  private var retired = Set<Int>()

  /// A child, and the pipe whose end tells it that the coordinator is gone.
  private struct Child {
    let process: Process
    let lifeline: Pipe
    /// Known to this child and this program alone.
    let secret: String
    let started: ContinuousClock.Instant
    var failures: Int
  }

  /// A child that dies sooner than this did not come to work; after `mostFailures` such deaths in a row the run
  /// fails rather than start it for ever.
  private static let soon = Duration.seconds(5)
  private static let mostFailures = 5
  private static let pause = 10.0

  init(
    endpoint: String, threads: Int, logFormat: LogFormat, isPatient: Bool = false, logger: Logger,
    onExit: @escaping @Sendable (Exit) -> Void
  ) throws {
    self.endpoint = endpoint
    self.threads = threads
    self.logFormat = logFormat
    self.isPatient = isPatient
    self.logger = logger
    self.onExit = onExit
    executable = try Self.besideThisProgram("nl-worker")
  }

  static func besideThisProgram(_ name: String) throws -> URL {
    let own = URL(fileURLWithPath: "/proc/self/exe").resolvingSymlinksInPath()
    let path = own.deletingLastPathComponent().appendingPathComponent(name)
    guard FileManager.default.isExecutableFile(atPath: path.path) else {
      throw ServiceError(
        "there is no \(name) beside \(own.path)", remedy: "install both in one folder")
    }
    return path
  }

  func start(count: Int) throws {
    for index in 0..<count { try start(index, failures: 0) }
  }

  private func start(_ index: Int, failures: Int) throws {
    let process = Process()
    let lifeline = Pipe()
    process.executableURL = executable
    process.arguments = [
      "--connect", endpoint, "--threads", String(threads), "--local-index", String(index),
      "--exit-with-stdin", "--log-format", logFormat.rawValue,
    ]
    process.standardInput = lifeline
    let secret = (0..<2).map { _ in String(UInt64.random(in: 0...UInt64.max), radix: 16) }.joined()
    process.environment = ProcessInfo.processInfo.environment.merging([Self.secretVariable: secret]) { $1 }
    let onExit = onExit
    process.terminationHandler = { process in
      let how = process.terminationReason == .uncaughtSignal ? "signal" : "exit status"
      onExit(Exit(index: index, reason: "\(how) \(process.terminationStatus)"))
    }
    do { try process.run() } catch {
      throw ServiceError("cannot start \(executable.path): \(error.localizedDescription)")
    }
    children[index] = Child(
      process: process, lifeline: lifeline, secret: secret, started: .now, failures: failures)
  }

  /// The environment variable in which a child is told its secret, which it says in HELLO. A number alone can be said by
  /// anybody who connects, and another's process would be ended in its place.
  static let secretVariable = "NL_LOCAL_SECRET"

  /// What a worker says of itself, without the number of a child that it is not.
  func vouched(_ hello: Hello) -> Hello { hello.vouched { children[$0]?.secret } }

  /// Starts a worker again after it ended.
  ///
  /// - Throws: when it keeps ending as soon as it is started.
  func restart(after exit: Exit) throws {
    guard !stopping, !retired.contains(exit.index), let child = children[exit.index] else { return }
    let failures = .now - child.started < Self.soon ? child.failures + 1 : 0
    guard failures < Self.mostFailures || isPatient else {
      throw ServiceError(
        "local worker \(exit.index) ended \(failures) times within \(Self.soon) of its start (\(exit.reason))",
        remedy: "its messages above say why; the run can be resumed")
    }
    guard failures < Self.mostFailures else {
      logger.error(
        """
        local worker \(exit.index) ended \(failures) times within \(Self.soon) of its start (\(exit.reason)); it is \
        tried again in \(Int(Self.pause)) s
        """)
      DispatchQueue.global().asyncAfter(deadline: .now() + Self.pause) { [onExit] in onExit(exit) }
      return
    }
    logger.warning("local worker \(exit.index) ended (\(exit.reason)); it is started again")
    try start(exit.index, failures: failures)
  }

  /// Ends one child that does not do its work; it is started again when its end is reported.
  func end(_ index: Int) {
    guard let child = children[index], child.process.isRunning else { return }
    kill(child.process.processIdentifier, SIGKILL)
  }

  /// Ends one child for good.
  func retire(_ index: Int) {
    retired.insert(index)
    end(index)
  }

  /// From now on workers are expected to end, and none is started again.
  func expectEnds() { stopping = true }

  /// Ends all children: politely, by their lifelines, then by force.
  func stop() {
    stopping = true
    for child in children.values { try? child.lifeline.fileHandleForWriting.close() }
    let deadline = ContinuousClock.now + .seconds(2)
    for child in children.values {
      while child.process.isRunning && .now < deadline { usleep(2000) }
      if child.process.isRunning { kill(child.process.processIdentifier, SIGKILL) }
    }
    // Not for ever: one that hangs in a read from a disk or a network file system ends when that does.
    let end = ContinuousClock.now + .seconds(2)
    for child in children.values { while child.process.isRunning && .now < end { usleep(2000) } }
    children = [:]
  }
}
