import Files

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// The write-ahead log as it is on the disk. If a sync of it has failed, the disk lacks parts that reading still shows and
/// no later sync writes; SQLite would move all of it into the database, and if the power failed in the middle of that, the
/// database would be half the old and half the new, with no log to mend it.
enum WriteAheadLog {
  /// Puts a log that a process has left on the disk as it is seen, before SQLite looks at it.
  ///
  /// - Parameter busySeconds: how long another program that writes to it is waited for.
  /// - Throws: `LedgerError.locked` if it still does then.
  static func renew(of database: String, busySeconds: Double) throws(LedgerError) {
    guard !isEmpty(database) else { return }
    let descriptor = open(database + "-shm", O_RDWR | O_CLOEXEC)
    defer { if descriptor >= 0 { close(descriptor) } }
    if descriptor >= 0, !locks(descriptor, busySeconds) {
      throw .locked(path: database, doing: "syncing the write-ahead log")
    }
    do { try renew(of: database) } catch {
      throw LedgerError(error, path: database, doing: "syncing the write-ahead log")
    }
  }

  /// Puts the log on the disk as it is seen. Nobody may write to it meanwhile.
  static func renew(of database: String) throws(FileError) {
    if !isEmpty(database) { try FileSystem.renew(file(of: database)) }
  }

  private static func file(of database: String) -> String { database + "-wal" }
  private static func isEmpty(_ database: String) -> Bool { FileSystem.size(file(of: database)) ?? 0 == 0 }

  /// The locks of whoever writes to the log, empties it, or reads it anew: bytes 120 to 122 of the shared memory
  /// (sqlite.org/walformat.html, 2.3.1). They end with the descriptor.
  private static func locks(_ descriptor: Int32, _ busySeconds: Double) -> Bool {
    var lock = flock()
    lock.l_type = Int16(F_WRLCK)
    lock.l_whence = Int16(SEEK_SET)
    lock.l_start = 120
    lock.l_len = 3
    let interval = 0.01
    var left = busySeconds
    while fcntl(descriptor, F_SETLK, &lock) != 0 {
      guard left > 0 else { return false }
      usleep(UInt32(interval * 1e6))
      left -= interval
    }
    return true
  }
}
