import Observability

/// When a worker says next how much memory it has: with a result, once a second at most. Belongs to its thread.
struct MemorySign {
  private var said: ContinuousClock.Instant?
  private static let pause = Duration.seconds(1)

  /// Bytes of memory, if they are to be said now.
  mutating func due() -> Int? {
    let now = ContinuousClock.now
    guard said.map({ now - $0 >= Self.pause }) ?? true else { return nil }
    said = now
    return ProcessMetrics.residentBytes()
  }
}
