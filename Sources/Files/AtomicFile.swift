#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file that appears under its name whole or not at all: it is written beside it, synced and renamed.
///
/// What is dropped before `finish` leaves nothing behind. Errors name the file, not what is written beside it.
public struct AtomicFile: ~Copyable {
  /// Temporary names begin with this; whoever owns a folder deletes what a crash left of them.
  package static let temporaryPrefix = ".tmp-"

  private let path: String
  private let temporary: String
  private let descriptor: Int32
  private var isFinished = false

  public init(path: String) throws(FileError) {
    let temporary =
      "\(FileSystem.folder(of: path))/\(Self.temporaryPrefix)\(getpid())-\(FileSystem.name(of: path))"
    descriptor = try Self.create(temporary, for: path)
    self.path = path
    self.temporary = temporary
  }

  private static func create(_ temporary: String, for path: String) throws(FileError) -> Int32 {
    do throws(FileError) { try FileSystem.watch(.create(temporary)) } catch { throw error.about(path) }
    let descriptor = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "writing", code: errno) }
    return descriptor
  }

  deinit {
    close(descriptor)
    if !isFinished { unlink(temporary) }
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    do throws(FileError) { try Self.writeAll(bytes, to: descriptor, path: temporary) } catch {
      throw error.about(path)
    }
  }

  /// Writes a part of the file that has a known length.
  ///
  /// - Parameters:
  ///   - part: what it is, for the error if its length is another.
  ///   - content: gives its bytes, in order, to the function that it is given.
  /// - Throws: `FileError`, and what `content` throws.
  public func write(
    _ part: String, byteCount: Int,
    _ content: ((UnsafeRawBufferPointer) throws -> Void) throws -> Void
  ) throws {
    var written = 0
    try content { bytes in
      written += bytes.count
      try write(bytes)
    }
    guard written == byteCount else {
      throw FileError(
        path: path, doing: "writing \(part)",
        reason: "it has \(written) bytes where its shape needs \(byteCount)")
    }
  }

  /// Puts the file under its name. After a failure what stood there before still does, unless it was the folder's
  /// sync that failed: then one or the other does.
  ///
  /// - Parameter syncingFolder: false if the caller syncs the folder after several files.
  public consuming func finish(syncingFolder: Bool = true) throws(FileError) {
    do throws(FileError) {
      try FileSystem.watch(.sync(temporary))
      guard fsync(descriptor) == 0 else { throw FileError(path: path, doing: "syncing", code: errno) }
      try FileSystem.rename(temporary, to: path)
    } catch {
      throw error.about(path)
    }
    isFinished = true
    if syncingFolder { try FileSystem.syncFolder(FileSystem.folder(of: path)) }
  }

  /// Writes a whole file; see `finish` for what failures leave.
  ///
  /// - Parameter content: gives the bytes, in order, to the function that it is given.
  public static func write(
    to path: String, syncingFolder: Bool = true,
    _ content: ((UnsafeRawBufferPointer) throws(FileError) -> Void) throws(FileError) -> Void
  ) throws(FileError) {
    let file = try AtomicFile(path: path)
    try content { bytes throws(FileError) in try file.write(bytes) }
    try file.finish(syncingFolder: syncingFolder)
  }

  public static func write(_ bytes: [UInt8], to path: String) throws(FileError) {
    let file = try AtomicFile(path: path)
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(FileError) in try file.write(buffer) }
    }
    try result.get()
    try file.finish()
  }

  /// Writes all of a buffer at the descriptor's position.
  package static func writeAll(
    _ bytes: UnsafeRawBufferPointer, to descriptor: Int32, path: String
  ) throws(FileError) {
    try FileSystem.watch(.write(path, count: bytes.count))
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = systemWrite(descriptor, UnsafeRawBufferPointer(rebasing: rest))
      if count < 0, errno == EINTR { continue }
      guard count > 0 else { throw FileError(path: path, doing: "writing", code: count < 0 ? errno : ENOSPC) }
      rest = rest.dropFirst(count)
    }
  }

  /// All bytes of a file.
  public static func read(_ path: String) throws(FileError) -> [UInt8] {
    try FileSystem.watch(.read(path))
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "reading", code: errno) }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else { throw FileError(path: path, doing: "reading", code: errno) }
    guard FileSystem.kind(info.st_mode) == .file, let size = Int(exactly: info.st_size) else {
      throw FileError(path: path, doing: "reading", reason: "it is not a file")
    }
    if size == 0 { return [] }
    var code: Int32 = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: size) { buffer, filled in
      while filled < size {
        let rest = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[filled...])
        let count = systemRead(descriptor, rest)
        if count < 0, errno == EINTR { continue }
        if count < 0 { code = errno }
        if count <= 0 { break }
        filled += count
      }
    }
    guard code == 0 else { throw FileError(path: path, doing: "reading", code: code) }
    return bytes
  }
}

/// `AtomicFile.write` and `.read` hide the system's functions of the same names. At most 1 GiB at a time: Linux
/// moves no more than 2 GiB in one call, other systems refuse more.
private func systemWrite(_ descriptor: Int32, _ bytes: UnsafeRawBufferPointer) -> Int {
  write(descriptor, bytes.baseAddress, min(bytes.count, 1 << 30))
}

private func systemRead(_ descriptor: Int32, _ bytes: UnsafeMutableRawBufferPointer) -> Int {
  read(descriptor, bytes.baseAddress, min(bytes.count, 1 << 30))
}
