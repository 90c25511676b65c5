import Digests
import Dispatch
import Files
import Foundation
import JSON

/// Token rows in a file, which is mapped: its bytes are the machine's own, little-endian.
///
///     tokens     4 bytes each, as in TokenRow.marked
///     zeros      up to a multiple of 8
///     entries    32 bytes each: TokenTable.Entry
///     report     JSON
///     digests    SHA-256 of each block of 8 MiB of all before, 64 hexadecimal digits each
///     footer     magic, then the numbers of tokens, entries and bytes of the report, 8 bytes each; then the SHA-256 of the
///                digests and of the footer up to here, 64 digits
enum TokenCacheFile {
  static let magic = UInt64(littleEndian: 0x3130_4E4B_544C_4E2E)
  static let blockBytes = 8 << 20
  static let digestBytes = 64
  static let footerBytes = 4 * 8 + digestBytes

  /// What the footer says, checked against the size of the file.
  struct Layout {
    let tokenCount: Int
    let entryCount: Int
    let reportBytes: Int

    static let entryBytes = MemoryLayout<TokenTable.Entry>.stride

    var entriesStart: Int { (tokenCount * 4 + 7) & ~7 }
    var reportStart: Int { entriesStart + entryCount * Self.entryBytes }
    /// Where the digests begin.
    var contentBytes: Int { reportStart + reportBytes }
    var blockCount: Int { (contentBytes + blockBytes - 1) / blockBytes }
    var fileBytes: Int { contentBytes + blockCount * digestBytes + footerBytes }

    /// nil unless the numbers are such that a file of `size` bytes has them.
    init?(footer: [UInt8], size: Int) {
      let words = footer.withUnsafeBytes { bytes in
        (0..<4).map { bytes.loadUnaligned(fromByteOffset: $0 * 8, as: UInt64.self) }
      }
      guard words[0] == magic, words[1...].allSatisfy({ $0 <= UInt64(size) }) else { return nil }
      (tokenCount, entryCount, reportBytes) = (Int(words[1]), Int(words[2]), Int(words[3]))
      guard fileBytes == size else { return nil }
    }
  }

  /// Opens a file that was written whole, and compares every byte of it with its digests, on all cores.
  ///
  /// - Returns: nil if it is not there, or not as it was written.
  static func open(_ path: String) -> (table: TokenTable, report: JSONValue)? {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    guard let (layout, footer) = footer(descriptor), isSound(descriptor, layout, footer),
      let report = read(descriptor, at: layout.reportStart, count: layout.reportBytes).flatMap({
        try? JSONValue(parsing: String(decoding: $0, as: UTF8.self))
      })
    else { return nil }
    return map(descriptor, layout).map { ($0, report) }
  }

  /// What the footer of a file says; nil if it is not there, or not whole.
  static func layout(of path: String) -> Layout? {
    let descriptor = Foundation.open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return footer(descriptor)?.layout
  }

  private static func footer(_ descriptor: Int32) -> (layout: Layout, bytes: [UInt8])? {
    var info = stat()
    guard fstat(descriptor, &info) == 0, info.st_size >= footerBytes else { return nil }
    let size = Int(info.st_size)
    guard let bytes = read(descriptor, at: size - footerBytes, count: footerBytes),
      let layout = Layout(footer: bytes, size: size)
    else { return nil }
    return (layout, bytes)
  }

  private static func isSound(_ descriptor: Int32, _ layout: Layout, _ footer: [UInt8]) -> Bool {
    guard
      let digests = read(
        descriptor, at: layout.contentBytes, count: layout.blockCount * digestBytes),
      Digest.sha256(digests + footer.prefix(footerBytes - digestBytes))
        == String(decoding: footer.suffix(digestBytes), as: UTF8.self)
    else { return false }
    let wrong = WrongBlocks()
    DispatchQueue.concurrentPerform(iterations: layout.blockCount) { block in
      let start = block * blockBytes
      let bytes = read(descriptor, at: start, count: min(blockBytes, layout.contentBytes - start))
      let expected = digests[(block * digestBytes)..<((block + 1) * digestBytes)]
      if bytes.map({ Digest.sha256($0).utf8.elementsEqual(expected) }) != true { wrong.add() }
    }
    return wrong.count == 0
  }

  private final class WrongBlocks: @unchecked Sendable {
    private let lock = NSLock()
    private var number = 0
    var count: Int { lock.withLock { number } }
    func add() { lock.withLock { number += 1 } }
  }

  private static func map(_ descriptor: Int32, _ layout: Layout) -> TokenTable? {
    let size = layout.reportStart
    if size == 0 { return TokenTable(tokens: [], entries: []) }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      return nil
    }
    let bytes = UnsafeRawBufferPointer(start: address, count: size)
    let tokens = UnsafeRawBufferPointer(rebasing: bytes[..<(layout.tokenCount * 4)])
    let entries = UnsafeRawBufferPointer(rebasing: bytes[layout.entriesStart...])
    let table = TokenTable(
      tokens: tokens.assumingMemoryBound(to: Int32.self),
      entries: entries.assumingMemoryBound(to: TokenTable.Entry.self)
    ) { munmap(UnsafeMutableRawPointer(mutating: address), size) }
    guard table.isSound(tokenCount: layout.tokenCount) else { return nil }
    // What was only looked at once need not stay.
    madvise(address, size, MADV_DONTNEED)
    return table
  }

  private static func read(_ descriptor: Int32, at place: Int, count: Int) -> [UInt8]? {
    var isWhole = true
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
      while filled < count {
        let rest = UnsafeMutableRawBufferPointer(
          rebasing: UnsafeMutableRawBufferPointer(buffer)[filled..<count])
        let got = pread(descriptor, rest.baseAddress, rest.count, off_t(place + filled))
        if got < 0, errno == EINTR { continue }
        guard got > 0 else {
          isWhole = false
          return
        }
        filled += got
      }
    }
    return isWhole ? bytes : nil
  }
}
