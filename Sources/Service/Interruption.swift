import Synchronization

/// Ctrl-C or SIGTERM as an error, so that what has been begun is cleared away before the program ends.
package final class Interruption: Sendable {
  private final class Flag: Sendable {
    let isSet = Atomic(false)
  }

  private let flag: Flag
  private let watch: Mutex<SignalWatch?>

  package init() {
    let flag = Flag()
    self.flag = flag
    watch = Mutex(SignalWatch { _ in flag.isSet.store(true, ordering: .relaxed) })
  }

  deinit { watch.withLock { $0?.cancel() } }

  /// - Throws: `ServiceError` once the user wants the program to end.
  package func check() throws {
    if flag.isSet.load(ordering: .relaxed) { throw ServiceError("stopped by the user") }
  }
}
