import Coordination
import Foundation
import Ledger

/// The one clock that leases and waits are judged by; the cores themselves never read it.
package enum MonotonicClock {
  package static func now() -> Instant {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return Instant(nanoseconds: Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec))
  }

  /// The wall-clock time of an instant, for the record alone.
  package static func timestamp(of instant: Instant) -> Timestamp {
    let age = now().seconds(since: instant)
    return Timestamp(milliseconds: Timestamp.now().milliseconds - Int64((age * 1000).rounded()))
  }
}
