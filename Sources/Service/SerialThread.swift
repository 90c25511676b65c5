import Foundation

/// A thread that does one thing after the other, in the order in which they were given to it. Unlike a queue of
/// Dispatch's it is one and the same thread throughout, with a name by which a profiler, a debugger or a tracer knows it.
final class SerialThread: Sendable {
  private final class Work: @unchecked Sendable {
    private let condition = NSCondition()
    private var waiting: [@Sendable () -> Void] = []
    private var isOver = false

    func add(_ work: @escaping @Sendable () -> Void) {
      condition.withLock {
        waiting.append(work)
        condition.signal()
      }
    }

    func end() {
      condition.withLock {
        isOver = true
        condition.signal()
      }
    }

    /// Nil when nothing is waiting and nothing more will come.
    func next() -> (@Sendable () -> Void)? {
      condition.withLock {
        while waiting.isEmpty && !isOver { condition.wait() }
        return waiting.isEmpty ? nil : waiting.removeFirst()
      }
    }
  }

  private let work = Work()

  init(name: String) {
    let work = work
    let thread = Thread { while let next = work.next() { next() } }
    thread.name = name
    // As much as the main thread has: gradients are split and joined here.
    thread.stackSize = 8 << 20
    thread.start()
  }

  /// What is waiting is still done.
  deinit { work.end() }

  func async(_ work: @escaping @Sendable () -> Void) { self.work.add(work) }
}
