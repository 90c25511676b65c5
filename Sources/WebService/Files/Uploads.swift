import Files
import Foundation
import JSON
import Service
import Synchronization

/// Data files that come by HTTP, piece by piece, into the data folder. A file has its name only once it is whole.
final class Uploads: Sendable {
  /// A piece that is being written.
  final class Piece: Sendable {
    let name: String
    let size: Int
    let handle: FileHandle
    let start: Int
    let end: Mutex<Int>

    init(name: String, size: Int, handle: FileHandle, start: Int) {
      (self.name, self.size, self.handle, self.start) = (name, size, handle, start)
      end = Mutex(start)
    }
  }

  private let folder: String
  private let limit: Int
  static let prefix = ".upload-"
  private static let endings = ["jsonl", "json", "csv", "txt", "gz"]
  private let slots: UploadSlots
  private let atWork = Mutex<Set<String>>([])

  /// What an earlier service has not got to its end is cleared away.
  init(folder: String, limit: Int, slots: UploadSlots) {
    (self.folder, self.limit, self.slots) = (folder, limit, slots)
    for name in (try? FileSystem.names(in: folder)) ?? [] where name.hasPrefix(Self.prefix) {
      try? FileSystem.remove(folder + "/" + name)
    }
  }

  /// - Throws: `RunRequestError` if the name or the size is not allowed, or the piece does not follow the one before.
  func begin(name: String, offset: Int, size: Int) throws -> Piece {
    try Self.check(name: name, field: "name")
    guard size <= limit else {
      throw RunRequestError(
        .tooLarge, "\(size) bytes are more than the \(limit) that a file may have", field: "size",
        hint: "put it into \(folder) by other means")
    }
    guard FileSystem.kind(folder + "/" + name) == nil else {
      throw RunRequestError(
        .conflict, "there is a file \(name) already", field: "name", hint: "choose another name")
    }
    try atWork.withLock { names in
      guard !names.contains(name) else {
        throw RunRequestError(.conflict, "a piece of \(name) is on its way already", field: "name")
      }
      try slots.take()
      names.insert(name)
    }
    do { return try open(name, offset, size) } catch {
      leave(name)
      throw error
    }
  }

  /// - Throws: `RunRequestError` unless it is a name that a data file may have.
  static func check(name: String, field: String) throws {
    guard PathPolicy.isName(name), endings.contains(where: { name.hasSuffix("." + $0) }) else {
      throw RunRequestError(
        .invalid, "\(name.prefix(80)) is not the name of a data file", field: field,
        hint: "a name without / that ends in \(endings.joined(separator: ", "))")
    }
  }

  private func leave(_ name: String) {
    if atWork.withLock({ $0.remove(name) }) != nil { slots.give() }
  }

  private func open(_ name: String, _ offset: Int, _ size: Int) throws -> Piece {
    let path = folder + "/" + Self.prefix + name
    if offset == 0 {
      try? FileSystem.remove(path)
      guard FileManager.default.createFile(atPath: path, contents: nil) else {
        throw RunRequestError(
          .unavailable, "\(folder) cannot be written to", hint: "see who owns it, and its room")
      }
    }
    let has = FileSystem.size(path) ?? 0
    guard has == offset, let handle = FileHandle(forWritingAtPath: path) else {
      throw RunRequestError(
        .conflict, "the piece begins at \(offset), but \(has) bytes of \(name) have come", field: "offset",
        hint: "go on from there, or begin again at 0")
    }
    try handle.seekToEnd()
    return Piece(name: name, size: size, handle: handle, start: offset)
  }

  func add(_ bytes: [UInt8], to piece: Piece) throws {
    guard piece.end.withLock({ $0 + bytes.count }) <= piece.size else {
      try? piece.handle.truncate(atOffset: UInt64(piece.start))
      throw RunRequestError(
        .tooLarge, "more bytes have come than the \(piece.size) that were announced", field: "size")
    }
    do { try piece.handle.write(contentsOf: bytes) } catch {
      throw RunRequestError(
        .unavailable, "\(piece.name) could not be written: \(error)", hint: "make room on the disk")
    }
    piece.end.withLock { $0 += bytes.count }
  }

  /// - Returns: how much has come; the file's place once it is whole
  func close(_ piece: Piece) throws -> JSONValue {
    let end = piece.end.withLock { $0 }
    try piece.handle.synchronize()
    let path = folder + "/" + piece.name
    if end == piece.size {
      try FileSystem.rename(folder + "/" + Self.prefix + piece.name, to: path)
      try FileSystem.syncFolder(folder)
    }
    return [
      "success": true, "received": .number(end), "size": .number(piece.size),
      "complete": .bool(end == piece.size),
      "path": end == piece.size ? .string(path) : nil,
    ]
  }

  func end(_ piece: Piece) {
    try? piece.handle.close()
    leave(piece.name)
  }
}
