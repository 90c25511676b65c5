import Foundation
import Service

/// The rate at which one thread copies memory: what nothing that hands bytes on can beat.
enum MemoryCopy {
  /// Source and target have so many bytes at least, so that they come from memory as in the work that is measured.
  private static let coldBytes = 128 << 20

  /// - Parameters:
  ///   - count: bytes of each copy.
  ///   - seconds: for how long copies are made; three of them at least.
  /// - Returns: bytes a second, each counted once though it is read and written.
  static func bytesPerSecond(copying count: Int, seconds: Double = 0.3) -> Double {
    let count = max(1, count)
    let pieces = max(1, coldBytes / count)
    let source = UnsafeMutableRawBufferPointer.allocate(byteCount: pieces * count, alignment: 4096)
    let target = UnsafeMutableRawBufferPointer.allocate(byteCount: pieces * count, alignment: 4096)
    defer {
      source.deallocate()
      target.deallocate()
    }
    // Written to once, so that there is memory behind every page.
    for buffer in [source, target] { _ = buffer.initializeMemory(as: UInt8.self, repeating: 1) }
    let begin = MonotonicClock.now()
    var copies = 0
    while copies < 3 || MonotonicClock.now().seconds(since: begin) < seconds {
      let piece = copies % pieces * count..<(copies % pieces + 1) * count
      UnsafeMutableRawBufferPointer(rebasing: target[piece])
        .copyMemory(from: UnsafeRawBufferPointer(rebasing: source[piece]))
      copies += 1
    }
    return Double(copies * count) / MonotonicClock.now().seconds(since: begin)
  }
}
