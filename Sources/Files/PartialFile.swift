import Digests

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file that is being fetched: `NAME.part`, every byte of it up to its length, and their digest so far.
package final class PartialFile {
  package static let suffix = ".part"

  package let path: String
  package private(set) var byteCount = 0
  private var digest = DigestBuilder()
  private let descriptor: Int32

  /// Opens what an earlier fetch has left, and reads it for its digest; or begins anew.
  package init(path: String) throws {
    self.path = path
    try FileSystem.watch(.create(path))
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0o644)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "opening", code: errno) }
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 16)
    defer { block.deallocate() }
    while true {
      let count = pread(descriptor, block.baseAddress, block.count, off_t(byteCount))
      if count < 0 && errno == EINTR { continue }
      guard count >= 0 else { throw FileError(path: path, doing: "reading", code: errno) }
      if count == 0 { break }
      digest.update(UnsafeRawBufferPointer(rebasing: block[..<count]))
      byteCount += count
    }
  }

  deinit { close(descriptor) }

  package var sha256: String { digest.finish() }

  package func append(_ bytes: UnsafeRawBufferPointer) throws {
    var done = 0
    try FileSystem.watch(.write(path, count: bytes.count))
    while done < bytes.count {
      let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
      let count = pwrite(descriptor, rest.baseAddress, rest.count, off_t(byteCount + done))
      if count < 0 && errno == EINTR { continue }
      guard count > 0 else { throw FileError(path: path, doing: "writing", code: errno) }
      done += count
    }
    digest.update(bytes)
    byteCount += bytes.count
  }

  /// Begins again from nothing.
  package func clear() throws {
    try FileSystem.watch(.truncate(path))
    guard ftruncate(descriptor, 0) == 0 else { throw FileError(path: path, doing: "emptying", code: errno) }
    byteCount = 0
    digest = DigestBuilder()
  }

  /// All of it is there and has its digest: it gets its name.
  package func finish(as name: String) throws {
    try FileSystem.watch(.sync(path))
    guard fsync(descriptor) == 0 else { throw FileError(path: path, doing: "syncing", code: errno) }
    try FileSystem.rename(path, to: name)
  }
}
