import Files
import Foundation
import Service

/// Appends to a file, each of which is on the disk before the next begins.
struct PlainWrites {
  let path: String
  /// Of each write.
  let bytes: Int

  /// - Returns: the time of each write with its fsync.
  /// - Throws: `FileError` if the disk does not take it.
  func measure(count: Int, _ interruption: Interruption) throws -> Durations {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "writing", code: errno) }
    defer { close(descriptor) }
    let content = [UInt8](repeating: 1, count: max(1, bytes))
    var times: [Double] = []
    for _ in 0..<max(1, count) {
      try interruption.check()
      let begin = MonotonicClock.now()
      try content.withUnsafeBytes { try AtomicFile.writeAll($0, to: descriptor, path: path) }
      guard fsync(descriptor) == 0 else { throw FileError(path: path, doing: "syncing", code: errno) }
      times.append(MonotonicClock.now().seconds(since: begin))
    }
    return Durations(times)
  }
}
