import Foundation
import JSON
import Logging
import Synchronization

/// The process beside this one that writes texts, with a low priority, so that a run at work does not feel it: begun for
/// the first text, there for a while after each, and ended for good when a text is given up.
public final class CompletionProcess: Sendable {
  /// A text that is being written.
  public final class Text: Sendable {
    /// Ends with one of the last events.
    public let events: AsyncStream<CompletionEvent>
    fileprivate let sink: AsyncStream<CompletionEvent>.Continuation
    fileprivate let giveUp = Mutex<(@Sendable () -> Void)?>(nil)
    fileprivate let lastSign = Mutex(ContinuousClock.now)

    fileprivate init() { (events, sink) = AsyncStream.makeStream() }

    /// Nobody wants the rest: its computation ends now. Nothing happens if it is there already.
    public func cancel() { giveUp.withLock { $0 }?() }
  }

  private final class Child: @unchecked Sendable {
    let process = Process()
    let requests = Pipe()
    let answers = Pipe()

    func end() { if process.isRunning { kill(process.processIdentifier, SIGKILL) } }

    /// Hands over each line of its answers as soon as that is there, until there are no more.
    func forEachLine(_ take: (ArraySlice<UInt8>) -> Void) {
      let descriptor = answers.fileHandleForReading.fileDescriptor
      var (bytes, piece) = ([UInt8](), [UInt8](repeating: 0, count: 1 << 16))
      while true {
        let count = read(descriptor, &piece, piece.count)
        if count < 0, errno == EINTR { continue }
        guard count > 0 else { return }
        bytes += piece[..<count]
        while let end = bytes.firstIndex(of: UInt8(ascii: "\n")) {
          take(bytes[..<end])
          bytes.removeSubrange(...end)
        }
      }
    }
  }

  private struct State: Sendable {
    var child: Child?
    var text: Text?
    /// Grows with each text, so that a child that has been used since is not taken for an idle one.
    var count = 0
  }

  private let state = Mutex(State())
  private let logger: Logger
  /// How long a process without work stays, with its model loaded.
  private let idleSeconds: Double
  /// How long a process may be silent that writes a text: reading a large model and a long prompt take their time.
  private static let patience = 300.0
  private static let queue = DispatchQueue(label: "completions")

  public init(idleSeconds: Double = 60, logger: Logger) {
    self.idleSeconds = idleSeconds
    self.logger = logger
  }

  /// Begins a text.
  ///
  /// - Throws: `RunRequestError` with `tooMany` while another is being written, with `unavailable` if no process can be
  ///   begun.
  public func begin(_ request: CompletionRequest) throws -> Text {
    let text = Text()
    let child = try state.withLock { state in
      guard state.text == nil else {
        throw RunRequestError(
          .tooMany, "another text is being written", hint: "texts are written one at a time: ask again soon")
      }
      let child = try state.child ?? start()
      (state.child, state.text) = (child, text)
      state.count += 1
      return child
    }
    text.giveUp.withLock { giveUp in
      giveUp = { [weak self, weak text] in if let text { self?.end(text, "it was given up") } }
    }
    do {
      try child.requests.fileHandleForWriting.write(contentsOf: request.json.bytes() + [UInt8(ascii: "\n")])
    } catch { end(text, "the process that writes texts does not take the request: \(error)") }
    watch(text)
    return text
  }

  /// Ends the process, whatever it does.
  public func stop() {
    let (child, text) = state.withLock { state in
      defer { (state.child, state.text) = (nil, nil) }
      return (state.child, state.text)
    }
    child?.end()
    if let text { finish(text, "the service ends") }
  }

  // MARK: - The process

  private func start() throws -> Child {
    let child = Child()
    do {
      child.process.executableURL = try SiblingProgram.find("nl-coord")
      child.process.arguments = ["write-texts"]
      child.process.standardInput = child.requests
      child.process.standardOutput = child.answers
      try child.process.run()
    } catch {
      throw RunRequestError(.unavailable, "the process that writes texts cannot be begun: \(error)")
    }
    let thread = Thread { [weak self] in
      child.forEachLine { line in
        guard let json = try? JSONValue(parsing: line), let event = CompletionEvent(json: json) else {
          return
        }
        self?.take(event, from: child)
      }
      child.process.waitUntilExit()
      self?.ended(child)
    }
    thread.name = "completions"
    thread.start()
    return child
  }

  private func take(_ event: CompletionEvent, from child: Child) {
    let (text, count) = state.withLock { state in
      guard state.child === child else { return (nil as Text?, 0) }
      defer { if event.isLast { state.text = nil } }
      return (state.text, state.count)
    }
    guard let text else { return }
    text.lastSign.withLock { $0 = .now }
    text.sink.yield(event)
    guard event.isLast else { return }
    text.sink.finish()
    Self.queue.asyncAfter(deadline: .now() + idleSeconds) { [weak self] in self?.endIfIdle(since: count) }
  }

  private func endIfIdle(since count: Int) {
    let child = state.withLock { state in
      guard state.count == count, state.text == nil else { return nil as Child? }
      defer { state.child = nil }
      return state.child
    }
    child?.end()
  }

  private func ended(_ child: Child) {
    let text = state.withLock { state in
      guard state.child === child else { return nil as Text? }
      defer { (state.child, state.text) = (nil, nil) }
      return state.text
    }
    let process = child.process
    let how = process.terminationReason == .uncaughtSignal ? "signal" : "exit status"
    guard let text else { return }
    logger.warning("the process that writes texts ended (\(how) \(process.terminationStatus))")
    finish(text, "the process that writes texts ended (\(how) \(process.terminationStatus))")
  }

  // MARK: - A text

  private func end(_ text: Text, _ reason: String) {
    let child = state.withLock { state in
      guard state.text === text else { return nil as Child? }
      defer { (state.child, state.text) = (nil, nil) }
      return state.child
    }
    guard let child else { return }
    child.end()
    finish(text, reason)
  }

  private func finish(_ text: Text, _ reason: String) {
    text.sink.yield(.broken(reason: reason))
    text.sink.finish()
  }

  /// Ends a text whose process says nothing for too long.
  private func watch(_ text: Text) {
    Self.queue.asyncAfter(deadline: .now() + Self.patience) { [weak self, weak text] in
      guard let self, let text, self.state.withLock({ $0.text === text }) else { return }
      let silence = ContinuousClock.now - text.lastSign.withLock { $0 }
      guard silence < .seconds(Self.patience) else {
        return self.end(text, "nothing was written for \(Int(Self.patience)) s")
      }
      self.watch(text)
    }
  }
}
