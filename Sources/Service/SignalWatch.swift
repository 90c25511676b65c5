import Coordination
import Dispatch
import Foundation

/// Turns SIGINT and SIGTERM into calls, instead of the end of the process. One for the life of a process: between two
/// of them a signal would be lost.
///
/// Whoever asks a program to end may do so twice at once: `timeout` and batch systems signal a process and then its
/// group. What follows within half a second is the same request.
package final class SignalWatch: @unchecked Sendable {
  private static let oneRequest = 0.5

  private let lock = NSLock()
  private var onSignal: @Sendable (Int32) -> Void
  private var last: Instant?
  private var sources: [any DispatchSourceSignal] = []

  /// - Parameter onSignal: called for every request, one at a time, on a queue of Dispatch's; by default the process
  ///   ends with the exit code of a signal.
  package init(onSignal: @escaping @Sendable (Int32) -> Void = SignalWatch.end) {
    self.onSignal = onSignal
    let queue = DispatchQueue(label: "signals")
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { [weak self] in self?.take(number) }
      source.resume()
      sources.append(source)
    }
  }

  package static let end: @Sendable (Int32) -> Void = { _exit(128 + $0) }

  /// For a program that is done: the first request asks for what comes by itself, and its exit code stays that of
  /// success; another ends the process at once.
  package func endAtSecond() {
    call { [weak self] _ in self?.call(Self.end) }
  }

  /// From now on another is called.
  package func call(_ onSignal: @escaping @Sendable (Int32) -> Void) {
    lock.withLock { self.onSignal = onSignal }
  }

  private func take(_ number: Int32) {
    let now = MonotonicClock.now()
    let onSignal: (@Sendable (Int32) -> Void)? = lock.withLock {
      if let last, now.seconds(since: last) < Self.oneRequest { return nil }
      last = now
      return self.onSignal
    }
    onSignal?(number)
  }

  /// Gives both signals back their usual effect.
  package func cancel() {
    for source in sources { source.cancel() }
    sources = []
    signal(SIGINT, SIG_DFL)
    signal(SIGTERM, SIG_DFL)
  }
}
