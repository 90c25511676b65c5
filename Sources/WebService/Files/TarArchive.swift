import Files
import Foundation
import NIOCore
import Service

/// A folder as a tar file (POSIX.1-1988, "ustar"), which is made while it is sent. Only plain files are in it.
struct TarArchive: Sendable {
  private struct Entry: Sendable {
    /// On the disk.
    let path: String
    /// In the archive.
    let name: String
    let size: Int
    let time: Int

    /// With its header, and filled up to whole blocks.
    var length: Int { TarArchive.block + (size + TarArchive.block - 1) / TarArchive.block * TarArchive.block }
  }

  fileprivate static let block = 512
  private static let piece = 1 << 20
  /// Bytes of a name in the archive at most.
  private static let mostName = 100
  /// Eleven octal digits.
  private static let mostSize = 1 << 33

  private let entries: [Entry]

  /// Bytes of the whole file.
  var size: Int { entries.reduce(2 * Self.block) { $0 + $1.length } }

  /// - Parameter name: of the folder in the archive
  /// - Throws: `RunRequestError` if a file cannot be in such an archive.
  init(folder: String, as name: String) throws {
    var entries: [Entry] = []
    try Self.collect(folder, name, &entries)
    self.entries = entries
  }

  private static func collect(_ path: String, _ name: String, _ entries: inout [Entry]) throws {
    for file in try FileSystem.names(in: path).sorted() {
      let (inner, named) = (path + "/" + file, name + "/" + file)
      switch FileSystem.kind(inner) {
      case .folder: try collect(inner, named, &entries)
      case .file:
        let size = FileSystem.size(inner) ?? 0
        guard named.utf8.count <= mostName, size < mostSize else {
          throw RunRequestError(
            .tooLarge, "\(named) is too large, or its name too long, for a tar file", field: "checkpoint",
            hint: "copy it from \(path)")
        }
        entries.append(
          Entry(path: inner, name: named, size: size, time: Int(FileSystem.modificationTime(inner) ?? 0)))
      default: break
      }
    }
  }

  /// - Throws: what `send` throws, and `RunRequestError` if a file has become shorter meanwhile.
  func write(_ send: (ByteBuffer) async throws -> Void) async throws {
    for entry in entries {
      try await send(ByteBuffer(bytes: Self.header(entry)))
      guard let handle = FileHandle(forReadingAtPath: entry.path) else { throw Self.changed(entry) }
      defer { try? handle.close() }
      var left = entry.size
      while left > 0 {
        let wanted = min(left, Self.piece)
        let bytes = try await Disk.run { try handle.read(upToCount: wanted) ?? Data() }
        // The length that was announced cannot be kept.
        guard !bytes.isEmpty else { throw Self.changed(entry) }
        left -= bytes.count
        try await send(ByteBuffer(bytes: bytes))
      }
      let filling = entry.length - Self.block - entry.size
      if filling > 0 { try await send(ByteBuffer(repeating: 0, count: filling)) }
    }
    try await send(ByteBuffer(repeating: 0, count: 2 * Self.block))
  }

  private static func changed(_ entry: Entry) -> RunRequestError {
    RunRequestError(.unavailable, "\(entry.path) has changed while it was sent")
  }

  private static func header(_ entry: Entry) -> [UInt8] {
    var header = [UInt8](repeating: 0, count: block)
    func put(_ text: String, at place: Int) {
      for (index, byte) in text.utf8.enumerated() { header[place + index] = byte }
    }
    func octal(_ value: Int, _ digits: Int) -> String {
      let text = String(max(0, value), radix: 8)
      return String(repeating: "0", count: max(0, digits - text.utf8.count)) + text.suffix(digits)
    }
    put(entry.name, at: 0)
    put("0000644", at: 100)
    put("0000000", at: 108)
    put("0000000", at: 116)
    put(octal(entry.size, 11), at: 124)
    put(octal(entry.time, 11), at: 136)
    // The sum is of the header with blanks in its own place.
    put("        0", at: 148)
    put("ustar", at: 257)
    put("00", at: 263)
    put(octal(header.reduce(0) { $0 + Int($1) }, 6), at: 148)
    header[154] = 0
    return header
  }
}
