import Dataset
import Files
import Foundation

/// Says how far the tokenizing of data has come: on a terminal in a line that is written over, elsewhere now and then.
/// What takes less than a second is not spoken of.
public final class TokenizingLine {
  private let columns: Int?
  private let write: (String) -> Void
  private var file = ""
  private var started = MonotonicClock.now()
  private var lastSaid = MonotonicClock.now()
  private var isShown = false

  /// - Parameter columns: of the terminal; nil if there is none.
  /// - Parameter write: is given text as it is to be written.
  public init(columns: Int?, write: @escaping (String) -> Void) {
    self.columns = columns
    self.write = write
  }

  /// Writes to standard error.
  public static func standardError() -> TokenizingLine {
    TokenizingLine(columns: ProgressLine.terminalColumns(2)) { text in
      try? FileHandle.standardError.write(contentsOf: Data(text.utf8))
    }
  }

  /// What a plan tells of.
  public var progress: RunPlan.Progress {
    RunPlan.Progress(
      tokenizing: show,
      measuring: { self.show(done: $0, of: $1, "Measuring") })
  }

  public func show(_ progress: TokenizingProgress) {
    show(of: progress.file) { Self.text(progress, seconds: $0) }
  }

  /// How much is done of something else.
  ///
  /// - Parameter what: is being done, as the beginning of a line
  private func show(done: Int, of total: Int, _ what: String) {
    show(of: what) { seconds in
      let left = seconds * Double(total - done) / Double(max(1, done))
      return "\(what): \(done) of \(total) | ETA: \(ProgressLine.duration(left))"
    }
  }

  private func show(of file: String, _ text: (_ seconds: Double) -> String) {
    let now = MonotonicClock.now()
    if file != self.file {
      clear()
      (self.file, started, lastSaid) = (file, now, now)
    }
    guard now.seconds(since: lastSaid) >= (columns == nil ? 10 : isShown ? 0.2 : 1) else { return }
    lastSaid = now
    let text = text(now.seconds(since: started))
    if let columns {
      write("\r\u{1B}[K" + text.prefix(max(0, columns - 1)))
      isShown = true
    } else {
      write(text + "\n")
    }
  }

  /// Takes the line away.
  public func clear() {
    if isShown { write("\r\u{1B}[K") }
    isShown = false
  }

  /// `Tokenizing train.jsonl: 34 % | 120000 rows, 5300 rows/s | ETA: 1.2m | 880.1 MB on the disk in the end`
  static func text(_ progress: TokenizingProgress, seconds: Double) -> String {
    var text = "Tokenizing \(FileSystem.name(of: progress.file)): "
    if progress.totalBytes > 0 {
      text += "\(min(100, 100 * progress.bytes / progress.totalBytes)) % | "
    }
    text += "\(progress.rows) rows, \(Int(Double(progress.rows) / max(seconds, 1e-9))) rows/s"
    if progress.totalBytes > 0, progress.bytes > 0 {
      let left = seconds * Double(max(0, progress.totalBytes - progress.bytes)) / Double(progress.bytes)
      text += " | ETA: \(ProgressLine.duration(left))"
    }
    if let bytes = progress.diskBytes { text += " | \(megabytes(bytes)) on the disk in the end" }
    return text
  }
}
