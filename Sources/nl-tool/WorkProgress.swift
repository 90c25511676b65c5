import Foundation
import Service

/// How far work on so many bytes has come, on standard error: a bar on a terminal, elsewhere a line every ten seconds.
struct WorkProgress {
  private let label: String
  private let columns = ProgressLine.terminalColumns(2)
  private let started = ContinuousClock.now
  private var lastShown = ContinuousClock.now
  private var hasBar = false

  init(label: String) { self.label = label }

  mutating func show(_ done: Int, of total: Int) {
    let now = ContinuousClock.now
    guard now - lastShown >= (columns == nil ? .seconds(10) : .milliseconds(100)) else { return }
    lastShown = now
    let seconds = (now - started) / .seconds(1)
    let share = Double(done) / Double(max(1, total))
    let left = ProgressLine.duration(seconds / max(share, 1e-9) * (1 - share))
    let text =
      "\(label) \(String(format: "%3.0f", share * 100))% | \(Self.megabytes(done)) of \(Self.megabytes(total)) | "
      + "\(Self.megabytes(Int(Double(done) / seconds)))/s | ETA: \(left)"
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

  private static func megabytes(_ bytes: Int) -> String { String(format: "%.0f MB", Double(bytes) / 1e6) }

  private func write(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
