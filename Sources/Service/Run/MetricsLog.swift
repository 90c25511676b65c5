import Files
import JSON

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// A file of metrics, one JSON object a line, each with its `step`; steps ascend.
///
/// The ledger has every row too and is what counts, so a row is written at once but not synced. When a run is
/// resumed, the file is made to agree with the ledger again: every committed row once, and no other. It is synced
/// when the run ends.
///
/// Owned by one thread.
public final class MetricsLog {
  public let path: String
  /// The step of the last row; 0 before the first.
  public private(set) var lastStep = 0
  private var descriptor: Int32
  private var size = 0
  private let committed: (_ after: Int) throws -> [(step: Int, row: JSONValue)]
  /// A sync has failed: what the file seems to hold may never reach the disk.
  private var isLost = false

  /// Opens the file, or makes it. Rows up to the first that is torn, unreadable, out of order or not committed
  /// are kept; the rest is replaced by `committed`.
  ///
  /// - Parameter lastCommitted: the step of the last committed row.
  /// - Parameter committed: the committed rows after a step, in order; see `Ledger.stepMetrics(after:)`.
  public init(
    path: String, lastCommitted: Int,
    committed: @escaping (_ after: Int) throws -> [(step: Int, row: JSONValue)]
  ) throws {
    self.path = path
    self.committed = committed
    descriptor = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0o666)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "opening", code: errno) }
    (size, lastStep) = Self.agreeing(try AtomicFile.read(path), lastCommitted: lastCommitted)
    guard ftruncate(descriptor, off_t(size)) == 0 else {
      throw FileError(path: path, doing: "cutting", code: errno)
    }
    for (step, row) in try committed(lastStep) where step <= lastCommitted { try append(row, step: step) }
    try synchronize()
  }

  /// Moves what has the file's name, but cannot be read, to a name beside it: the ledger has every row.
  ///
  /// - Returns: why; nil if the file can be read or is not there.
  static func setAsideIfUnreadable(_ path: String) throws(FileError) -> String? {
    guard FileSystem.kind(path) != nil else { return nil }
    do throws(FileError) {
      _ = try AtomicFile.read(path)
      return nil
    } catch {
      guard error.isDamage else { throw error }
      let aside = path + ".damaged"
      try FileSystem.remove(aside)
      try FileSystem.rename(path, to: aside)
      return error.description
    }
  }

  deinit { if descriptor >= 0 { close(descriptor) } }

  /// Appends a row. A step that has one already (it is being replayed) is left as it is. After a failure no part
  /// of the row is in the file.
  public func append(_ row: JSONValue, step: Int) throws(FileError) {
    guard step > lastStep else { return }
    let line = row.bytes() + [0x0A]
    try FileSystem.watch(.write(path, count: line.count))
    var written = 0
    while written < line.count {
      let count = line[written...].withUnsafeBytes {
        pwrite(descriptor, $0.baseAddress, $0.count, off_t(size + written))
      }
      if count < 0, errno == EINTR { continue }
      guard count > 0 else {
        let code = count < 0 ? errno : ENOSPC
        _ = ftruncate(descriptor, off_t(size))
        throw FileError(path: path, doing: "writing the row of step \(step)", code: code)
      }
      written += count
    }
    size += written
    lastStep = step
  }

  /// Puts all rows on the disk. If that has failed before, they are written anew, from the ledger.
  public func synchronize() throws {
    if isLost { try rewrite() }
    do {
      try FileSystem.watch(.sync(path))
      guard fsync(descriptor) == 0 else { throw FileError(path: path, doing: "syncing", code: errno) }
    } catch {
      isLost = true
      throw error
    }
  }

  private func rewrite() throws {
    let rows = try committed(0).filter { $0.step <= lastStep }
    let text = rows.reduce(into: [UInt8]()) { $0 += $1.row.bytes() + [0x0A] }
    try AtomicFile.write(text, to: path)
    let fresh = open(path, O_RDWR | O_CLOEXEC)
    guard fresh >= 0 else { throw FileError(path: path, doing: "opening", code: errno) }
    close(descriptor)
    descriptor = fresh
    size = text.count
    isLost = false
  }

  /// The length in bytes, and the last step, of the rows from the start that are whole, in order and committed.
  private static func agreeing(_ bytes: [UInt8], lastCommitted: Int) -> (size: Int, lastStep: Int) {
    var size = 0
    var lastStep = 0
    while let end = bytes[size...].firstIndex(of: 0x0A) {
      guard let step = try? JSONValue(parsing: bytes[size..<end])["step"]?.int, step > lastStep,
        step <= lastCommitted
      else { break }
      size = end + 1
      lastStep = step
    }
    return (size, lastStep)
  }
}
