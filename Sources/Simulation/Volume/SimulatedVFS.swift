import Files
import Foundation
import GRDBSQLite
import Synchronization

/// SQLite's window to the operating system (a VFS), with simulated volumes behind the folders that have one. It passes
/// everything on to the system's own VFS, and tells the volume what is written; the volume says what fails. Files in other
/// folders are opened by the system's VFS itself.
package enum SimulatedVFS {
  private static let volumes = Mutex<[String: SimulatedVolume]>([:])

  /// Puts a volume behind its folder. From the first time on the VFS is the default one of this process.
  package static func mount(_ volume: SimulatedVolume) throws {
    guard isRegistered else { throw RegistrationFailed() }
    volumes.withLock { $0[volume.folder] = volume }
  }

  package static func unmount(_ volume: SimulatedVolume) {
    _ = volumes.withLock { $0.removeValue(forKey: volume.folder) }
  }

  package struct RegistrationFailed: Error {}

  fileprivate static func volume(of path: String) -> SimulatedVolume? {
    volumes.withLock { volumes in
      guard !volumes.isEmpty else { return nil }
      var folder = FileSystem.folder(of: path)
      while folder.utf8.count > 1 {
        if let volume = volumes[folder] { return volume }
        folder = FileSystem.folder(of: folder)
      }
      return nil
    }
  }

  /// Once, and for as long as the process lives: SQLite keeps the pointer.
  private static let isRegistered: Bool = {
    guard let system = sqlite3_vfs_find(nil) else { return false }
    let vfs = UnsafeMutablePointer<sqlite3_vfs>.allocate(capacity: 1)
    vfs.initialize(to: system.pointee)
    vfs.pointee.pNext = nil
    vfs.pointee.zName = UnsafePointer(strdup("simulated"))
    vfs.pointee.pAppData = UnsafeMutableRawPointer(system)
    vfs.pointee.szOsFile = Int32(OpenFile.offset) + system.pointee.szOsFile
    vfs.pointee.xOpen = open
    vfs.pointee.xDelete = delete
    return sqlite3_vfs_register(vfs, 1) == SQLITE_OK
  }()

  private static let open:
    @convention(c) (
      UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, UnsafeMutablePointer<sqlite3_file>?, Int32,
      UnsafeMutablePointer<Int32>?
    ) -> Int32 = { vfs, name, file, flags, outFlags in
      guard let vfs, let file, let system = vfs.pointee.pAppData?.assumingMemoryBound(to: sqlite3_vfs.self),
        let open = system.pointee.xOpen
      else { return SQLITE_MISUSE }
      guard let name, let volume = volume(of: String(cString: name)) else {
        return open(system, name, file, flags, outFlags)
      }
      let opened = OpenFile(file)
      let result = open(system, name, opened.system, flags, outFlags)
      guard result == SQLITE_OK, opened.system.pointee.pMethods != nil else {
        file.pointee.pMethods = nil
        return result
      }
      opened.begin(path: String(cString: name), volume: volume)
      return SQLITE_OK
    }

  private static let delete:
    @convention(c) (UnsafeMutablePointer<sqlite3_vfs>?, UnsafePointer<CChar>?, Int32) -> Int32 = {
      vfs, name, syncFolder in
      guard let name, let system = vfs?.pointee.pAppData?.assumingMemoryBound(to: sqlite3_vfs.self),
        let delete = system.pointee.xDelete
      else { return SQLITE_MISUSE }
      let path = String(cString: name)
      let volume = volume(of: path)
      if let volume, volume.begin(.name) != nil { return SQLITE_IOERR | (10 << 8) }
      let result = delete(system, name, syncFolder)
      if result == SQLITE_OK { volume?.deleted(path, durably: syncFolder != 0) }
      return result
    }
}

/// An open file: SQLite's part (a pointer to our methods), whose it is, and behind that the system's own file.
struct OpenFile {
  /// What an open file is, beside its memory.
  final class Owner: Sendable {
    let path: String
    let volume: SimulatedVolume

    init(path: String, volume: SimulatedVolume) {
      self.path = path
      self.volume = volume
    }
  }

  /// Where the system's file begins.
  static let offset = 64
  private static let ownerOffset = 16

  private let base: UnsafeMutableRawPointer

  init(_ file: UnsafeMutablePointer<sqlite3_file>) { base = UnsafeMutableRawPointer(file) }

  var system: UnsafeMutablePointer<sqlite3_file> {
    (base + Self.offset).assumingMemoryBound(to: sqlite3_file.self)
  }

  var methods: sqlite3_io_methods { system.pointee.pMethods.pointee }

  private var ownerSlot: UnsafeMutablePointer<Unmanaged<Owner>> {
    (base + Self.ownerOffset).assumingMemoryBound(to: Unmanaged<Owner>.self)
  }

  var owner: Owner { ownerSlot.pointee.takeUnretainedValue() }

  func begin(path: String, volume: SimulatedVolume) {
    volume.opened(path)
    ownerSlot.initialize(to: Unmanaged.passRetained(Owner(path: path, volume: volume)))
    base.assumingMemoryBound(to: sqlite3_file.self).pointee.pMethods = Self.table.pointer
  }

  func end() { ownerSlot.pointee.release() }

  /// The methods are the same for every file, and never change.
  private struct Table: @unchecked Sendable { let pointer: UnsafePointer<sqlite3_io_methods> }

  private static let table: Table = {
    let methods = UnsafeMutablePointer<sqlite3_io_methods>.allocate(capacity: 1)
    methods.initialize(to: ioMethods())
    return Table(pointer: UnsafePointer(methods))
  }()

  private static func ioMethods() -> sqlite3_io_methods {
    var methods = sqlite3_io_methods()
    // Version 2: shared memory for the write-ahead log, but no mapped pages, which would pass us by.
    methods.iVersion = 2
    setChanges(&methods)
    setReads(&methods)
    setSharedMemory(&methods)
    return methods
  }

  private static func setChanges(_ methods: inout sqlite3_io_methods) {
    methods.xClose = { file in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      let result = open.methods.xClose(open.system)
      open.end()
      return result
    }
    methods.xWrite = { file, bytes, count, offset in
      guard let file, let bytes else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      let written = [UInt8](UnsafeRawBufferPointer(start: bytes, count: Int(count)))
      switch open.owner.volume.begin(.write) {
      case .full: return SQLITE_FULL
      case .writeError, .syncError, .readError, .off: return SQLITE_IOERR | (3 << 8)
      case .powerLoss:
        // It may have come as far as the volume.
        open.owner.volume.wrote(open.owner.path, offset: Int(offset), bytes: written)
        return SQLITE_IOERR | (3 << 8)
      case nil: break
      }
      let result = open.methods.xWrite(open.system, bytes, count, offset)
      if result == SQLITE_OK { open.owner.volume.wrote(open.owner.path, offset: Int(offset), bytes: written) }
      return result
    }
    methods.xTruncate = { file, size in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      if open.owner.volume.begin(.truncate) != nil { return SQLITE_IOERR | (6 << 8) }
      let result = open.methods.xTruncate(open.system, size)
      if result == SQLITE_OK { open.owner.volume.truncated(open.owner.path, to: Int(size)) }
      return result
    }
    methods.xSync = { file, flags in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      guard let fault = open.owner.volume.begin(.sync) else {
        // The simulated volume decides what is durable; the real one need not be troubled.
        open.owner.volume.synced(open.owner.path)
        return SQLITE_OK
      }
      if fault == .syncError { open.owner.volume.failedToSync(open.owner.path) }
      return SQLITE_IOERR | (4 << 8)
    }
  }

  private static func setReads(_ methods: inout sqlite3_io_methods) {
    methods.xRead = { file, bytes, count, offset in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      if open.owner.volume.begin(.read) != nil { return SQLITE_IOERR | (1 << 8) }
      return open.methods.xRead(open.system, bytes, count, offset)
    }
    methods.xFileSize = { file, size in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xFileSize(open.system, size)
    }
    methods.xLock = { file, level in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xLock(open.system, level)
    }
    methods.xUnlock = { file, level in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xUnlock(open.system, level)
    }
    methods.xCheckReservedLock = { file, result in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xCheckReservedLock(open.system, result)
    }
    methods.xFileControl = { file, operation, argument in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xFileControl(open.system, operation, argument)
    }
    methods.xSectorSize = { _ in 512 }
    // A sector that is being written when the power fails does not spoil its neighbours, as on every disk of today.
    methods.xDeviceCharacteristics = { _ in SQLITE_IOCAP_POWERSAFE_OVERWRITE }
  }

  private static func setSharedMemory(_ methods: inout sqlite3_io_methods) {
    methods.xShmMap = { file, page, size, extend, pointer in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xShmMap(open.system, page, size, extend, pointer)
    }
    methods.xShmLock = { file, offset, count, flags in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xShmLock(open.system, offset, count, flags)
    }
    methods.xShmBarrier = { file in
      guard let file else { return }
      let open = OpenFile(file)
      open.methods.xShmBarrier(open.system)
    }
    methods.xShmUnmap = { file, deleting in
      guard let file else { return SQLITE_MISUSE }
      let open = OpenFile(file)
      return open.methods.xShmUnmap(open.system, deleting)
    }
  }
}
