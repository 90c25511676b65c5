import Files
import Foundation
import JSON
import Logging
import Synchronization

/// A checkpoint that is being made ready for download, until it has been sent or nobody wants it.
public final class CheckpointExport: Sendable {
  private enum Phase: Sendable { case idle, working, made, ended }

  private final class Child: @unchecked Sendable {
    let process = Process()
    /// Its other end is closed when this process ends, however that comes.
    let lifeline = Pipe()
    let said = Pipe()
  }

  public let form: CheckpointForm
  private let folder: String
  private let name: String
  private let logger: Logger
  private let isGone: @Sendable (CheckpointExport) -> Void
  private let child = Child()
  private let phase = Mutex(Phase.idle)
  private let outcome: AsyncStream<RunRequestError?>
  private let sink: AsyncStream<RunRequestError?>.Continuation
  /// How long one may take.
  private static let patience = 3600.0
  /// Bytes of what it says that are looked at.
  private static let mostSaid = 1 << 16
  private static let queue = DispatchQueue(label: "exports")

  /// The file or folder that is made.
  public var path: String { folder + "/" + fileName }
  /// What it is called.
  public var fileName: String { form.isFolder ? name : "\(name).gguf" }

  /// - Parameter isGone: told once nothing is left of it.
  init(
    form: CheckpointForm, folder: String, name: String, logger: Logger,
    isGone: @escaping @Sendable (CheckpointExport) -> Void
  ) {
    (self.form, self.folder, self.name, self.logger, self.isGone) = (form, folder, name, logger, isGone)
    (outcome, sink) = AsyncStream.makeStream()
  }

  /// - Throws: `RunRequestError` if no process can be begun.
  func begin(adapter: String, model: String) throws {
    do {
      child.process.executableURL = try SiblingProgram.find("nl-coord")
      child.process.arguments = [
        "make-checkpoint", "--form", form.rawValue, "--adapter", adapter, "--model", model, "--output", path,
      ]
      child.process.standardInput = child.lifeline
      child.process.standardOutput = child.said
      try child.process.run()
    } catch {
      throw RunRequestError(.unavailable, "the process that makes it cannot be begun: \(error)")
    }
    phase.withLock { if $0 == .idle { $0 = .working } }
    let thread = Thread { [self] in
      let said = readAll()
      child.process.waitUntilExit()
      ended(said)
    }
    thread.name = "export"
    thread.start()
    Self.queue.asyncAfter(deadline: .now() + Self.patience) { [weak self] in
      if self?.phase.withLock({ $0 }) == .working { self?.end() }
    }
  }

  /// Returns once it is there.
  ///
  /// - Throws: `RunRequestError` that says why it will not be.
  public func ready() async throws {
    for await failure in outcome {
      if let failure { throw failure }
      return
    }
    throw RunRequestError(.unavailable, "it was given up")
  }

  /// Nobody wants it any more: its process ends, and nothing is left of it. Does nothing the second time.
  public func end() {
    let before = phase.withLock { phase in
      defer { phase = .ended }
      return phase
    }
    switch before {
    case .idle, .made: Self.queue.async { self.cleanUp() }
    // Its thread cleans up, once the process writes no more.
    case .working: if child.process.isRunning { kill(child.process.processIdentifier, SIGKILL) }
    case .ended: break
    }
  }

  /// All that was made has been read, and its last piece is to be sent: nothing is left of it when this returns, so that
  /// whoever has that piece may ask for another at once.
  public func hasBeenRead() async {
    end()
    await withCheckedContinuation { continuation in Self.queue.async { continuation.resume() } }
  }

  // MARK: - The process

  private func readAll() -> [UInt8] {
    let descriptor = child.said.fileHandleForReading.fileDescriptor
    var (bytes, piece) = ([UInt8](), [UInt8](repeating: 0, count: 4096))
    while true {
      let count = read(descriptor, &piece, piece.count)
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { return bytes }
      if bytes.count < Self.mostSaid { bytes += piece[..<count] }
    }
  }

  private func ended(_ said: [UInt8]) {
    let isWanted = phase.withLock { phase in
      guard phase == .working else { return false }
      phase = .made
      return true
    }
    let failure = failure(said)
    if let failure, isWanted { logger.notice("\(fileName) could not be made: \(failure)") }
    if !isWanted { cleanUp() }
    sink.yield(isWanted ? failure : RunRequestError(.unavailable, "it was given up"))
    sink.finish()
  }

  /// - Returns: nil if it has been made
  private func failure(_ said: [UInt8]) -> RunRequestError? {
    let process = child.process
    if process.terminationReason == .exit, process.terminationStatus == 0 { return nil }
    if let line = try? JSONValue(parsing: said), let reason = line["reason"]?.string {
      return RunRequestError(.invalid, reason, field: "form", hint: line["remedy"]?.string)
    }
    let how = process.terminationReason == .uncaughtSignal ? "signal" : "exit status"
    return RunRequestError(
      .unavailable, "the process that makes it ended (\(how) \(process.terminationStatus))")
  }

  private func cleanUp() {
    do { try FileSystem.remove(folder) } catch { logger.warning("\(folder) could not be removed: \(error)") }
    isGone(self)
  }
}
