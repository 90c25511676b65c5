import Coordination
import Dispatch
import Foundation

/// Turns SIGINT and SIGTERM into calls, instead of the end of the process.
///
/// Whoever asks a program to end may do so twice at once: `timeout` and batch systems signal a process and then its
/// group. What follows within half a second is the same request.
final class SignalWatch {
  fileprivate static let oneRequest = 0.5

  private var sources: [any DispatchSourceSignal] = []
  /// What the signals did before: the first process of a container has to have said something of them, or they are
  /// lost.
  private var effects: [(signal: Int32, handler: sighandler_t?)] = []

  /// - Parameter onSignal: called for every request, one at a time, on a queue of Dispatch's.
  init(onSignal: @escaping @Sendable (Int32) -> Void) {
    let queue = DispatchQueue(label: "signals")
    let requests = Requests()
    for number in [SIGINT, SIGTERM] {
      effects.append((number, signal(number, SIG_IGN)))
      let source = DispatchSource.makeSignalSource(signal: number, queue: queue)
      source.setEventHandler { if requests.isNew(at: MonotonicClock.now()) { onSignal(number) } }
      source.resume()
      sources.append(source)
    }
  }

  /// Gives both signals back the effect that they had.
  func cancel() {
    for source in sources { source.cancel() }
    sources = []
    for effect in effects { signal(effect.signal, effect.handler) }
    effects = []
  }
}

/// Belongs to the queue of the signals.
private final class Requests: @unchecked Sendable {
  private var last: Instant?

  func isNew(at now: Instant) -> Bool {
    if let last, now.seconds(since: last) < SignalWatch.oneRequest { return false }
    last = now
    return true
  }
}
