import Foundation

/// A whole file in memory, read-only, paged in by the system as it is touched.
final class MappedFile: @unchecked Sendable {
  let path: String
  let bytes: UnsafeRawBufferPointer

  /// Fails on a missing or unreadable file and on anything that is not a regular file; an empty one is fine.
  init(path: String) throws(ModelError) {
    let file = open(path, O_RDONLY | O_CLOEXEC)
    guard file >= 0 else { throw ModelError(file: path, "cannot be opened: \(systemError())") }
    defer { close(file) }
    var status = stat()
    guard fstat(file, &status) == 0 else { throw ModelError(file: path, "cannot be read: \(systemError())") }
    guard status.st_mode & S_IFMT == S_IFREG else { throw ModelError(file: path, "is not a regular file") }
    self.path = path
    let size = Int(status.st_size)
    guard size > 0 else {
      bytes = UnsafeRawBufferPointer(start: nil, count: 0)
      return
    }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, file, 0), address != MAP_FAILED else {
      throw ModelError(file: path, "cannot be mapped into memory: \(systemError())")
    }
    bytes = UnsafeRawBufferPointer(start: address, count: size)
    // Weights are read from end to end in every step, so the reading may as well begin.
    _ = madvise(address, size, Int32(MADV_WILLNEED))
  }

  deinit {
    if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
  }
}

/// The reason of the last failed system call in words.
func systemError() -> String { String(cString: strerror(errno)) }
