import Foundation
import Service

/// How far work on so many bytes, rows or steps has come, on standard error: a bar on a terminal, elsewhere a line every ten seconds.
struct WorkProgress {
  enum Unit {
    case bytes
    case rows
    case steps
  }

  private let label: String
  private let unit: Unit
  private let columns = ProgressLine.terminalColumns(2)
  private let started = ContinuousClock.now
  private var lastShown = ContinuousClock.now
  private var hasBar = false

  init(label: String, unit: Unit = .bytes) {
    self.label = label
    self.unit = unit
  }

  mutating func show(_ done: Int, of total: Int) {
    let now = ContinuousClock.now
    guard now - lastShown >= (columns == nil ? .seconds(10) : .milliseconds(100)) else { return }
    lastShown = now
    let seconds = (now - started) / .seconds(1)
    let share = Double(done) / Double(max(1, total))
    let left = ProgressLine.duration(seconds / max(share, 1e-9) * (1 - share))
    // What a narrow terminal cuts off is the least wanted.
    let text =
      "\(label) \(String(format: "%3.0f", share * 100))% | ETA: \(left) | \(amounts(done, total)) | "
      + rate(Double(done) / max(seconds, 1e-9))
    if let columns {
      hasBar = true
      write("\r\u{1B}[K" + bar(share) + String(text.prefix(max(0, columns - 24))))
    } else {
      write(text + "\n")
    }
  }

  /// Takes the bar away.
  mutating func finish() {
    if hasBar { write("\r\u{1B}[K") }
    hasBar = false
  }

  private func bar(_ share: Double) -> String {
    let filled = Int(min(1, max(0, share)) * 20)
    return "[" + String(repeating: "#", count: filled) + String(repeating: "-", count: 20 - filled) + "] "
  }

  private func amounts(_ done: Int, _ total: Int) -> String {
    switch unit {
    case .bytes: String(format: "%.0f MB of %.0f MB", Double(done) / 1e6, Double(total) / 1e6)
    case .rows: "\(done) of \(total) rows"
    case .steps: "\(done) of \(total) steps"
    }
  }

  private func rate(_ perSecond: Double) -> String {
    switch unit {
    case .bytes: String(format: "%.0f MB/s", perSecond / 1e6)
    case .rows, .steps: String(format: perSecond < 10 ? "%.1f/s" : "%.0f/s", perSecond)
    }
  }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
