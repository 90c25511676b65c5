#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A lock that the kernel holds for this process: however the process ends, it is free again.
///
/// It is `flock` on a file that also names the holder, for the message of whoever is refused. The descriptor is
/// closed on exec, so child processes do not hold the lock.
package final class FolderLock: Sendable {
  /// The lock is taken; `holder` is what its file says, as in `process 1234 on host`.
  package struct Taken: Error {
    package let holder: String?
  }

  private let descriptor: Int32
  /// Whoever only asks whether the lock is held has it for a moment; so has a coordinator that is being killed.
  private static let attempts = 10

  /// Takes the lock, or throws `Taken` or a `FileError`.
  package init(path: String) throws {
    let descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "opening the lock", code: errno) }
    var attempt = 1
    while flock(descriptor, LOCK_EX | LOCK_NB) != 0 {
      let code = errno
      if code == EINTR { continue }
      if code == EWOULDBLOCK, attempt < Self.attempts {
        attempt += 1
        usleep(50_000)
        continue
      }
      close(descriptor)
      guard code == EWOULDBLOCK else { throw FileError(path: path, doing: "locking", code: code) }
      throw Taken(holder: Self.holder(path))
    }
    self.descriptor = descriptor
    // Who holds the lock is for a message only: that a full disk has no room for it does not matter.
    let text = Array("process \(getpid()) on \(Self.hostName())\n".utf8)
    if ftruncate(descriptor, 0) == 0 { _ = pwrite(descriptor, text, text.count, 0) }
  }

  deinit { close(descriptor) }

  /// Whether anybody holds the lock; nil if that cannot be told.
  package static func isHeld(_ path: String) -> Bool? {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    if flock(descriptor, LOCK_SH | LOCK_NB) == 0 { return false }
    return errno == EWOULDBLOCK ? true : nil
  }

  private static func holder(_ path: String) -> String? {
    guard let bytes = try? AtomicFile.read(path), bytes.last == 0x0A, bytes.count < 300 else { return nil }
    return String(validating: bytes.dropLast(), as: UTF8.self)
  }

  private static func hostName() -> String {
    var buffer = [CChar](repeating: 0, count: 256)
    guard gethostname(&buffer, buffer.count - 1) == 0 else { return "an unnamed host" }
    return buffer.withUnsafeBufferPointer { buffer in
      buffer.baseAddress.map { String(cString: $0) } ?? ""
    }
  }
}
