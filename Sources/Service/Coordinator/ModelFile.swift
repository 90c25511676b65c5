import Digests
import Files
import Foundation
import WireProtocol

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file of the base model that stays open, so that it is the same one for every worker. Belongs to one thread at a
/// time.
final class ModelFile {
  let path: String
  /// When it was opened.
  let byteCount: Int
  private let descriptor: Int32

  init(path: String) throws {
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "opening", code: errno) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else {
      let error = FileError(path: path, doing: "opening", code: errno)
      close(descriptor)
      throw error
    }
    self.path = path
    byteCount = Int(info.st_size)
  }

  deinit { close(descriptor) }

  func sha256() throws -> String {
    var digest = DigestBuilder()
    for start in stride(from: 0, to: byteCount, by: 1 << 20) {
      // The bytes are there as long as their holder is.
      let block = try read(start..<min(byteCount, start + (1 << 20)))
      withExtendedLifetime(block) { digest.update(block.buffer) }
    }
    return digest.finish()
  }

  /// - Throws: `FileError`, also if the file ends before.
  func read(_ range: Range<Int>) throws -> SharedBytes {
    let bytes = try SharedBytes(capacity: range.count) { memory in
      var done = 0
      while done < range.count {
        let rest = UnsafeMutableRawBufferPointer(rebasing: memory[done...])
        let count = pread(descriptor, rest.baseAddress, rest.count, off_t(range.lowerBound + done))
        if count < 0 && errno == EINTR { continue }
        guard count >= 0 else { throw FileError(path: path, doing: "reading", code: errno) }
        if count == 0 { break }
        done += count
      }
      return done
    }
    guard bytes.buffer.count == range.count else {
      throw FileError(path: path, doing: "reading", reason: "it has become shorter")
    }
    return bytes
  }
}
