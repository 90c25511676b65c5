import Dispatch
import Foundation

/// Turns SIGINT and SIGTERM into calls, instead of the end of the process.
final class SignalWatch {
  private var sources: [any DispatchSourceSignal] = []

  /// - Parameter onSignal: called on a queue of Dispatch's for every signal.
  init(onSignal: @escaping @Sendable (Int32) -> Void) {
    for number in [SIGINT, SIGTERM] {
      signal(number, SIG_IGN)
      let source = DispatchSource.makeSignalSource(signal: number, queue: .global())
      source.setEventHandler { onSignal(number) }
      source.resume()
      sources.append(source)
    }
  }

  /// Gives both signals back their usual effect.
  func cancel() {
    for source in sources { source.cancel() }
    sources = []
    signal(SIGINT, SIG_DFL)
    signal(SIGTERM, SIG_DFL)
  }
}
