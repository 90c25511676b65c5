import Foundation

/// A file that appears under its name whole or not at all: it is written beside it, synced and renamed.
struct DurableFile: ~Copyable {
  private let path: String
  private let temporaryPath: String
  private let descriptor: Int32
  private var finished = false

  init(path: String) throws(ModelError) {
    self.path = path
    temporaryPath = "\(path).\(getpid()).partial"
    descriptor = open(temporaryPath, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw ModelError(file: path, "cannot be written: \(systemError())") }
  }

  deinit {
    close(descriptor)
    if !finished { unlink(temporaryPath) }
  }

  func write(_ bytes: UnsafeRawBufferPointer) throws(ModelError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let slice = UnsafeRawBufferPointer(rebasing: rest)
      let written = Foundation.write(descriptor, slice.baseAddress, slice.count)
      if written < 0 {
        if errno == EINTR { continue }
        throw ModelError(file: path, "cannot be written: \(systemError())")
      }
      rest = rest.dropFirst(written)
    }
  }

  /// Puts the file under its name, on the disk when this returns.
  consuming func finish() throws(ModelError) {
    guard fsync(descriptor) == 0, rename(temporaryPath, path) == 0 else {
      throw ModelError(file: path, "cannot be written: \(systemError())")
    }
    finished = true
    try Self.syncFolder(of: path)
  }

  static func write(_ bytes: [UInt8], to path: String) throws(ModelError) {
    let file = try DurableFile(path: path)
    let result = bytes.withUnsafeBytes { bytes in
      Result { () throws(ModelError) in try file.write(bytes) }
    }
    try result.get()
    try file.finish()
  }

  /// Makes a rename inside the folder that holds `path` durable.
  static func syncFolder(of path: String) throws(ModelError) {
    let folder = (path as NSString).deletingLastPathComponent
    try sync(folder: folder.isEmpty ? "." : folder)
  }

  static func sync(folder: String) throws(ModelError) {
    let descriptor = open(folder, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw ModelError(file: folder, "cannot be opened: \(systemError())") }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw ModelError(file: folder, "cannot be synced: \(systemError())") }
  }

  /// Makes a folder and those above it; one that is there already is fine.
  static func makeFolder(_ path: String) throws(ModelError) {
    do {
      try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
    } catch {
      throw ModelError(file: path, "the folder cannot be made: \(error.localizedDescription)")
    }
  }
}
