/// A point of the coordinator's or worker's own monotonic clock, in nanoseconds from an arbitrary start. The cores
/// never read a clock: whoever drives them says what time it is.
public struct Instant: Sendable, Hashable, Comparable, CustomStringConvertible {
  public let nanoseconds: Int64

  public init(nanoseconds: Int64) { self.nanoseconds = nanoseconds }

  public static let zero = Instant(nanoseconds: 0)
  /// Later than every time that is reached.
  public static let never = Instant(nanoseconds: .max)

  public static func < (a: Instant, b: Instant) -> Bool { a.nanoseconds < b.nanoseconds }

  /// The time so many seconds later; `never` if that is out of range.
  public static func + (instant: Instant, seconds: Double) -> Instant {
    guard instant != .never, abs(seconds) < 9e9 else { return .never }
    let sum = instant.nanoseconds.addingReportingOverflow(Int64((seconds * 1e9).rounded()))
    return sum.overflow ? .never : Instant(nanoseconds: sum.partialValue)
  }

  /// Seconds from an earlier time to this one.
  public func seconds(since earlier: Instant) -> Double {
    (Double(nanoseconds) - Double(earlier.nanoseconds)) / 1e9
  }

  /// Seconds with milliseconds, for transcripts and status.
  public var description: String {
    guard self != .never else { return "never" }
    let milliseconds = nanoseconds / 1_000_000
    let fraction = String(milliseconds.magnitude % 1000)
    return "\(milliseconds / 1000).\(String(repeating: "0", count: 3 - fraction.count))\(fraction)s"
  }
}
