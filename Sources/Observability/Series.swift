import CoreMetrics
import Foundation

/// The newest value of one name with one set of labels. May be written to from any thread.
final class Series: @unchecked Sendable {
  struct Value {
    /// Of a counter or gauge; of a histogram, the sum of what was observed.
    var number = 0.0
    var count = 0
    /// Observations by the first bucket that holds them; not yet added up.
    var buckets: [Int]
  }

  private let lock = NSLock()
  private var current: Value

  init(_ kind: MetricsRegistry.Kind) {
    current = Value(buckets: kind == .histogram ? MetricsRegistry.secondsBuckets.map { _ in 0 } : [])
  }

  var value: Value { lock.withLock { current } }

  private func add(_ amount: Double) { lock.withLock { current.number += amount } }
  private func replace(_ number: Double) { lock.withLock { current.number = number } }

  private func observe(_ number: Double) {
    lock.withLock {
      guard !current.buckets.isEmpty else {
        current.number = number
        return
      }
      current.number += number
      current.count += 1
      if let place = MetricsRegistry.secondsBuckets.firstIndex(where: { number <= $0 }) {
        current.buckets[place] += 1
      }
    }
  }
}

extension Series: CounterHandler, FloatingPointCounterHandler {
  func increment(by amount: Int64) { add(Double(amount)) }
  func reset() { replace(0) }
}

extension Series: MeterHandler {
  func set(_ value: Int64) { replace(Double(value)) }
  func set(_ value: Double) { replace(value) }
  /// Of a meter and of a counter alike.
  func increment(by amount: Double) { add(amount) }
  func decrement(by amount: Double) { add(-amount) }
}

extension Series: RecorderHandler {
  func record(_ value: Int64) { observe(Double(value)) }
  func record(_ value: Double) { observe(value) }
}

extension Series: TimerHandler {
  func recordNanoseconds(_ duration: Int64) { observe(Double(duration) / 1e9) }
}
