import Coordination
import Foundation
import Observability
import Service
import WireProtocol

/// When each step was first handed out, and what had been used by then: a step lasts until the next one is.
final class StepMarks: @unchecked Sendable {
  struct Mark: Sendable {
    let time: Instant
    /// Of the coordinator; nil if it had ended.
    let coordinator: ProcessUsage?
    /// Processor time of the workers' process, in seconds.
    let workersSeconds: Double
  }

  private let lock = NSLock()
  private let usage: @Sendable () -> ProcessUsage?
  private var marks: [Int: Mark] = [:]
  private var handOuts: [Int: Int] = [:]
  private var lastNews = MonotonicClock.now()

  /// - Parameter usage: what the coordinator has used.
  init(usage: @escaping @Sendable () -> ProcessUsage?) { self.usage = usage }

  /// A worker has been given this.
  func note(_ message: AssignMessage) {
    lock.withLock {
      lastNews = MonotonicClock.now()
      guard message.purpose == .train else { return }
      handOuts[message.step, default: 0] += 1
      guard marks[message.step] == nil else { return }
      marks[message.step] = Mark(
        time: lastNews, coordinator: usage(), workersSeconds: ProcessMetrics.processorSeconds())
    }
  }

  func mark(of step: Int) -> Mark? { lock.withLock { marks[step] } }
  /// How often a shard of a step was handed out.
  func handOuts(of step: Int) -> Int { lock.withLock { handOuts[step] ?? 0 } }
  /// For how long nothing was handed out, in seconds.
  var silentSeconds: Double { lock.withLock { MonotonicClock.now().seconds(since: lastNews) } }
}
