import Coordination
import Dispatch
import Foundation
import Logging

/// Turns SIGINT and SIGTERM into calls, instead of the end of the process. One for the life of a process: between two
/// of them a signal would be lost.
///
/// Whoever asks a program to end may do so twice at once: `timeout` and batch systems signal a process and then its
/// group. What follows within half a second is the same request.
package final class SignalWatch: @unchecked Sendable {
  private static let oneRequest = 0.5
  /// Dispatch needs some microseconds; nothing waits for ever.
  private static let longestRegistration = 5.0

  private let lock = NSLock()
  private var onSignal: @Sendable (Int32) -> Void
  private var last: Instant?
  private var sources: [any DispatchSourceSignal] = []
  private let logger: Logger?

  /// A request ends the process at once until something else is to be called.
  ///
  /// - Parameter logger: told of it, so that no process ends without a word
  package convenience init(logger: Logger) {
    self.init(logger: logger) { Self.end($0, logger) }
  }

  /// - Parameters:
  ///   - logger: told when a request ends the process at once; nil if the user sees that in some other way
  ///   - onSignal: called for every request, one at a time, on a queue of Dispatch's
  package init(logger: Logger? = nil, onSignal: @escaping @Sendable (Int32) -> Void) {
    self.onSignal = onSignal
    self.logger = logger
    let queue = DispatchQueue(label: "signals")
    let areWatched = DispatchGroup()
    for number in [SIGINT, SIGTERM] {
      #if canImport(Darwin)
        // Elsewhere Dispatch puts a handler of its own in place, and what is ignored before that is lost.
        signal(number, SIG_IGN)
      #endif
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { [weak self] in self?.take(number) }
      areWatched.enter()
      source.setRegistrationHandler { areWatched.leave() }
      source.resume()
      sources.append(source)
    }
    // Whoever has this has every request from here on.
    _ = areWatched.wait(timeout: .now() + Self.longestRegistration)
  }

  /// Ends the process with the exit code of a signal. Whatever it was writing, what is on disk is whole: a process may be
  /// killed at any moment.
  package static func end(_ number: Int32, _ logger: Logger? = nil) {
    logger?.notice("stopped at once by \(number == SIGINT ? "SIGINT" : "SIGTERM"); what was written is whole")
    _exit(128 + number)
  }

  /// From now on a request ends the process at once.
  package func endAtOnce() {
    call { [logger] in Self.end($0, logger) }
  }

  /// For a program that is done: the first request asks for what comes by itself, and its exit code stays that of
  /// success; another ends the process at once.
  package func endAtSecond() {
    call { [weak self] _ in self?.endAtOnce() }
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
