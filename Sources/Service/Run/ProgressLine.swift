#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// What a run says of its progress: `Step 100/1000 | Loss: 1.234 | Active tiers: [0, 1] | ETA: 5.2m`, some
/// hundred times in a run, and on a terminal a bar below these lines.
///
/// It only makes text, for the caller to write as it is, and takes the time from the caller.
public struct ProgressLine: Sendable {
  private let totalSteps: Int
  private let interval: Int
  /// Columns of the terminal; nil if the output is not one.
  private let columns: Int?
  /// In front of every line, where there are several runs.
  private let prefix: String

  /// When the latest steps ended, oldest first: their mean covers the tiers' periods, which steps differ by.
  private var recentEnds: [Double]
  private static let averagedSteps = 64
  private var lastLineAt = -Double.infinity
  private var lastBarAt = -Double.infinity
  /// A line that was not due yet; a run that ends early still shows its last step.
  private var heldBack: String?
  private var bar = ""
  private let isMeasuring: Bool

  /// - Parameter columns: see `terminalColumns`.
  /// - Parameter name: of the run, where there are several
  /// - Parameter isMeasuring: its steps train nothing
  /// - Parameter now: seconds on a monotonic clock, as for `step`.
  public init(
    totalSteps: Int, columns: Int?, name: String? = nil, isMeasuring: Bool = false, now: Double
  ) {
    self.isMeasuring = isMeasuring
    self.totalSteps = max(totalSteps, 1)
    self.columns = columns
    prefix = name.map { "[\($0)] " } ?? ""
    interval = max(1, totalSteps / 100)
    recentEnds = [now]
  }

  /// Work begins: what went before, such as waiting for workers, says nothing of how long steps take.
  public mutating func begin(now: Double) { if recentEnds.count == 1 { recentEnds = [now] } }

  /// The text for a step that was committed; empty if nothing is due. `loss` is nil if it was not computed.
  public mutating func step(_ step: Int, loss: Double?, activeTiers: [Int], now: Double) -> String {
    recentEnds.append(now)
    if recentEnds.count > Self.averagedSteps + 1 { recentEnds.removeFirst() }
    let line = line(step, loss: loss, activeTiers: activeTiers)
    let isDue = recentEnds.count == 2 || step % interval == 0 || step >= totalSteps || now - lastLineAt >= 10
    heldBack = isDue ? nil : line
    if isDue { lastLineAt = now }
    guard columns != nil else { return isDue ? line + "\n" : "" }

    guard isDue || now - lastBarAt >= 0.1 else { return "" }
    lastBarAt = now
    bar = barText(step, line)
    return Self.clearLine + (isDue ? line + "\n" : "") + bar
  }

  /// Another message, put above the bar.
  public func message(_ text: String) -> String {
    bar.isEmpty ? prefix + text + "\n" : Self.clearLine + text + "\n" + bar
  }

  /// The text for the end of the run, whether at the last step or before.
  public mutating func finish() -> String {
    let rest = heldBack.map { $0 + "\n" } ?? ""
    let text = bar.isEmpty ? rest : Self.clearLine + rest
    heldBack = nil
    bar = ""
    return text
  }

  /// Seconds to go, by the mean of the latest steps.
  private func remaining(after step: Int) -> Double {
    guard recentEnds.count > 1, let first = recentEnds.first, let last = recentEnds.last else { return .nan }
    return (last - first) / Double(recentEnds.count - 1) * Double(max(0, totalSteps - step))
  }

  private func line(_ step: Int, loss: Double?, activeTiers: [Int]) -> String {
    let tiers = activeTiers.map(String.init).joined(separator: ", ")
    let loss = loss.map { Self.decimal($0, places: 3) } ?? "–"
    let left = Self.duration(remaining(after: step))
    if isMeasuring { return prefix + "Measuring \(step)/\(totalSteps) | ETA: \(left)" }
    return prefix + "Step \(step)/\(totalSteps) | Loss: \(loss) | Active tiers: [\(tiers)] | "
      + "ETA: \(left)"
  }

  private func barText(_ step: Int, _ line: String) -> String {
    let share = min(1, max(0, Double(step) / Double(totalSteps)))
    let filled = Int(share * 20)
    let percent = String(Int(share * 100))
    let text =
      "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: 20 - filled) + "] "
      + String(repeating: " ", count: 3 - percent.count) + percent + "% | " + line
    // A line that wraps could not be cleared.
    return String(text.prefix(max(0, (columns ?? 80) - 1)))
  }

  /// Back to the first column, and erase what is there (ECMA-48 EL).
  private static let clearLine = "\r\u{1B}[K"
}

extension ProgressLine {
  /// A duration with one decimal in the largest unit that it fills, as in `42.0s`, `5.2m`, `1.5h`, `2.1d`; `?` if
  /// it is not known, or beyond all sense.
  public static func duration(_ seconds: Double) -> String {
    guard seconds >= 0, seconds < 1e10 else { return "?" }
    let units: [(seconds: Double, name: String, limit: Double)] = [
      (1, "s", 60), (60, "m", 60), (3600, "h", 24), (86_400, "d", .infinity),
    ]
    for unit in units {
      // Rounded first: 59.96 s are 1.0m, not 60.0s.
      let tenths = (seconds / unit.seconds * 10).rounded()
      if tenths < unit.limit * 10 { return decimal(tenths / 10, places: 1) + unit.name }
    }
    return "?"
  }

  /// A number with a fixed number of decimals; one too large for that as Swift writes it.
  static func decimal(_ value: Double, places: Int) -> String {
    let scale = (0..<places).reduce(1) { scale, _ in scale * 10 }
    guard let scaled = Int(exactly: (value * Double(scale)).rounded()) else { return "\(value)" }
    let digits = String(scaled.magnitude)
    let padded = String(repeating: "0", count: max(0, places + 1 - digits.count)) + digits
    return (scaled < 0 ? "-" : "") + padded.dropLast(places) + "." + padded.suffix(places)
  }

  /// The columns of the terminal behind a file descriptor; nil if it is not a terminal.
  public static func terminalColumns(_ descriptor: Int32) -> Int? {
    guard isatty(descriptor) == 1 else { return nil }
    var size = winsize()
    guard ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0, size.ws_col > 0 else { return 80 }
    return Int(size.ws_col)
  }
}
