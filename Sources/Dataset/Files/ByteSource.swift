import CZlib
import Foundation

/// The bytes of a file, decompressed if it is one of gzip.
final class ByteSource {
  let path: String
  private let descriptor: Int32
  private let inflater: Inflater?
  /// What was read to tell what the file is, and is handed out first.
  private(set) var start: [UInt8] = []
  private var handedOut = 0
  /// Bytes of the file that have been read, as they are stored.
  private(set) var storedBytesRead = 0

  init(path: String) throws(DataError) {
    self.path = path
    descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw Self.systemError(path, "cannot be opened") }
    var magic: [UInt8] = [0, 0]
    let count = pread(descriptor, &magic, 2, 0)
    inflater = count == 2 && magic == [0x1F, 0x8B] ? Inflater() : nil
    var first = [UInt8](repeating: 0, count: 4096)
    let filled = try first.withMutableBytes { bytes throws(DataError) in try fill(bytes) }
    start = Array(first.prefix(filled))
  }

  deinit { close(descriptor) }

  private static func systemError(_ path: String, _ what: String) -> DataError {
    DataError(file: path, reason: "\(what): \(String(cString: strerror(errno)))")
  }

  /// Fills the buffer from its beginning, and says with how many bytes; 0 at the end.
  func read(into buffer: UnsafeMutableRawBufferPointer) throws(DataError) -> Int {
    guard handedOut < start.count else { return try next(buffer) }
    let count = min(buffer.count, start.count - handedOut)
    buffer.copyBytes(from: start[handedOut..<(handedOut + count)])
    handedOut += count
    return count
  }

  private func fill(_ buffer: UnsafeMutableRawBufferPointer) throws(DataError) -> Int {
    var filled = 0
    while filled < buffer.count {
      let count = try next(UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
      if count == 0 { break }
      filled += count
    }
    return filled
  }

  private func next(_ buffer: UnsafeMutableRawBufferPointer) throws(DataError) -> Int {
    guard let inflater else { return try stored(buffer) }
    return try inflater.inflate(into: buffer, path: path) { buffer throws(DataError) in try stored(buffer) }
  }

  private func stored(_ buffer: UnsafeMutableRawBufferPointer) throws(DataError) -> Int {
    var count = -1
    repeat {
      count = Glibc.read(descriptor, buffer.baseAddress, buffer.count)
    } while count < 0 && errno == EINTR
    guard count >= 0 else { throw Self.systemError(path, "cannot be read") }
    storedBytesRead += count
    return count
  }
}

/// Decompresses gzip, also several members one after the other.
private final class Inflater {
  private var stream = z_stream()
  private var input = [UInt8](repeating: 0, count: 1 << 16)
  private var position = 0
  private var available = 0
  private var isReady = false
  private var isBetweenMembers = false

  deinit { if isReady { inflateEnd(&stream) } }

  func inflate(
    into buffer: UnsafeMutableRawBufferPointer, path: String,
    from read: (UnsafeMutableRawBufferPointer) throws(DataError) -> Int
  ) throws(DataError) -> Int {
    if !isReady {
      // 16: gzip alone. The largest window, since the file may use it.
      guard inflateInit2_(&stream, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else {
        throw DataError(file: path, reason: "cannot be decompressed: no memory")
      }
      isReady = true
    }
    while true {
      if position == available {
        available = try input.withMutableBytes { bytes throws(DataError) in try read(bytes) }
        position = 0
        if available == 0 {
          if isBetweenMembers { return 0 }
          throw DataError(file: path, reason: "is compressed by gzip and cut off", remedy: "copy it again")
        }
      }
      if isBetweenMembers {
        inflateReset(&stream)
        isBetweenMembers = false
      }
      let (status, produced) = step(buffer)
      switch status {
      case Z_STREAM_END: isBetweenMembers = true
      case Z_OK, Z_BUF_ERROR: break
      default:
        throw DataError(
          file: path, reason: "is not sound gzip (zlib error \(status))", remedy: "copy it again")
      }
      if produced > 0 { return produced }
    }
  }

  private func step(_ buffer: UnsafeMutableRawBufferPointer) -> (status: Int32, produced: Int) {
    let room = min(buffer.count, 1 << 30)
    return input.withUnsafeMutableBufferPointer { bytes in
      stream.next_in = bytes.baseAddress?.advanced(by: position)
      stream.avail_in = UInt32(available - position)
      stream.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.avail_out = UInt32(room)
      let status = CZlib.inflate(&stream, Z_NO_FLUSH)
      position = available - Int(stream.avail_in)
      return (status, room - Int(stream.avail_out))
    }
  }
}

extension [UInt8] {
  /// `withUnsafeMutableBytes`, with the error of `body` as it is.
  mutating func withMutableBytes<Result, Failure: Error>(
    _ body: (UnsafeMutableRawBufferPointer) throws(Failure) -> Result
  ) throws(Failure) -> Result {
    let result = withUnsafeMutableBytes { bytes in
      Swift.Result { () throws(Failure) in try body(bytes) }
    }
    return try result.get()
  }
}
