import Digests
import Files
import Foundation
import JSON

/// Writes a token cache as its rows come; it appears under its name once it is whole. What is written of each row besides
/// its tokens waits in a file of its own that has no name, so that no row is held in memory.
///
/// See `TokenCacheFile` for what is written.
final class TokenCacheWriter: TokenSink {
  private let path: String
  private var file: AtomicFile?
  private let entries: SpoolFile
  private var digests: [UInt8] = []
  private var block: [UInt8] = []
  private var tokenCount = 0
  private var entryCount = 0

  init(path: String) throws {
    self.path = path
    file = try AtomicFile(path: path)
    entries = try SpoolFile(folder: FileSystem.folder(of: path))
    block.reserveCapacity(TokenCacheFile.blockBytes)
  }

  func append(_ row: TokenRow, line: Int, hash: UInt64) throws {
    var entry = TokenTable.Entry(row, start: tokenCount, line: line, hash: hash)
    try withUnsafeBytes(of: &entry) { try entries.append($0) }
    entryCount += 1
    tokenCount += row.count
    try row.marked.withUnsafeBytes { try write($0) }
  }

  /// Puts the file under its name.
  ///
  /// - Parameter report: made of the rows that were written; their tokens are not to be asked for.
  func finish(_ report: (TokenTable) -> JSONValue) throws {
    try Array(repeating: UInt8(0), count: (8 - tokenCount * 4 % 8) % 8).withUnsafeBytes { try write($0) }
    let entries = try entries.mapped()
    let table = TokenTable(
      tokens: UnsafeBufferPointer(start: nil, count: 0),
      entries: entries.bytes.assumingMemoryBound(to: TokenTable.Entry.self))
    let report = Array(report(table).text.utf8)
    try write(entries.bytes)
    try report.withUnsafeBytes { try write($0) }
    if !block.isEmpty { try endBlock() }
    var footer: [UInt8] = []
    for number in [TokenCacheFile.magic, UInt64(tokenCount), UInt64(entryCount), UInt64(report.count)] {
      withUnsafeBytes(of: number) { footer.append(contentsOf: $0) }
    }
    footer += Array(Digest.sha256(digests + footer).utf8)
    try (digests + footer).withUnsafeBytes { try file?.write($0) }
    try file.take()?.finish()
  }

  private func write(_ bytes: UnsafeRawBufferPointer) throws {
    var rest = bytes[...]
    while !rest.isEmpty {
      let count = min(rest.count, TokenCacheFile.blockBytes - block.count)
      block.append(contentsOf: UnsafeRawBufferPointer(rebasing: rest.prefix(count)))
      rest = rest.dropFirst(count)
      if block.count == TokenCacheFile.blockBytes { try endBlock() }
    }
  }

  private func endBlock() throws {
    try block.withUnsafeBytes { bytes in
      digests += Array(Digest.sha256(bytes).utf8)
      try file?.write(bytes)
    }
    block.removeAll(keepingCapacity: true)
  }
}

/// A file without a name, which is gone when it is closed.
final class SpoolFile {
  private let folder: String
  private let descriptor: Int32
  private var buffer: [UInt8] = []
  private var byteCount = 0
  private static let bufferBytes = 1 << 20

  init(folder: String) throws(FileError) {
    self.folder = folder
    var name = Array((folder + "/.tmp-rows-XXXXXX").utf8CString)
    descriptor = mkstemp(&name)
    guard descriptor >= 0 else { throw FileError(path: folder, doing: "writing", code: errno) }
    _ = fcntl(descriptor, F_SETFD, FD_CLOEXEC)
    unlink(name)
  }

  deinit { close(descriptor) }

  func append(_ bytes: UnsafeRawBufferPointer) throws(FileError) {
    buffer.append(contentsOf: bytes)
    if buffer.count >= Self.bufferBytes { try flush() }
  }

  private func flush() throws(FileError) {
    var (done, code): (Int, Int32) = (0, 0)
    buffer.withUnsafeBytes { bytes in
      while done < bytes.count, code == 0 {
        let count = pwrite(
          descriptor, bytes.baseAddress?.advanced(by: done), bytes.count - done, off_t(byteCount + done))
        if count < 0, errno == EINTR { continue }
        if count <= 0 { code = count < 0 ? errno : ENOSPC }
        done += max(0, count)
      }
    }
    guard code == 0 else { throw FileError(path: folder, doing: "writing", code: code) }
    byteCount += done
    buffer.removeAll(keepingCapacity: true)
  }

  /// All that was written, as long as the result is there.
  func mapped() throws(FileError) -> Mapping {
    try flush()
    return try Mapping(descriptor, byteCount, folder)
  }

  final class Mapping {
    let bytes: UnsafeRawBufferPointer

    init(_ descriptor: Int32, _ count: Int, _ folder: String) throws(FileError) {
      guard count > 0 else {
        bytes = UnsafeRawBufferPointer(start: nil, count: 0)
        return
      }
      guard let address = mmap(nil, count, PROT_READ, MAP_SHARED, descriptor, 0), address != MAP_FAILED else {
        throw FileError(path: folder, doing: "mapping", code: errno)
      }
      bytes = UnsafeRawBufferPointer(start: address, count: count)
    }

    deinit {
      if let base = bytes.baseAddress { munmap(UnsafeMutableRawPointer(mutating: base), bytes.count) }
    }
  }
}
