import Files
import Foundation
import JSON
import Ledger
import Service
import Synchronization

/// What `/v1/files` has: each file in a folder of its own below the data folder, named by its id, so that several may have
/// one name. A folder has its name once the file is whole.
final class FileShelf: Sendable {
  struct File: Sendable {
    let id: String
    let name: String
    /// Absolute.
    let path: String
    let bytes: Int
    /// Seconds since 1970.
    let created: Int
    let purpose: String

    var json: JSONValue {
      [
        "id": .string(id), "object": "file", "bytes": .number(bytes), "created_at": .number(created),
        "expires_at": nil, "filename": .string(name), "purpose": .string(purpose), "status": "processed",
        "status_details": nil,
      ]
    }
  }

  /// A file that is on its way.
  final class Draft: Sendable {
    let id = OpenAIID.make(FileShelf.prefix)
    let name: String
    fileprivate let folder: String
    fileprivate let handle: FileHandle
    fileprivate let size = Mutex(0)

    fileprivate init(name: String, folder: String, handle: FileHandle) {
      (self.name, self.folder, self.handle) = (name, folder, handle)
    }
  }

  static let prefix = "file-"
  static let purpose = "fine-tune"
  private static let about = ".about.json"
  private let folder: String
  let limit: Int
  private let slots: UploadSlots

  /// - Parameters:
  ///   - limit: bytes of a file at most
  ///   - slots: how many may be on their way together
  init(folder: String, limit: Int, slots: UploadSlots) {
    (self.folder, self.limit, self.slots) = (folder, limit, slots)
  }

  // MARK: - What comes

  /// - Throws: `RunRequestError` if a file of that name cannot be taken, or too many are on their way.
  func begin(name: String) throws -> Draft {
    try Uploads.check(name: name, field: "file")
    try slots.take()
    do {
      let draft = folder + "/" + Uploads.prefix + OpenAIID.make(Self.prefix)
      try FileSystem.makeFolders(draft)
      let path = draft + "/" + name
      guard FileManager.default.createFile(atPath: path, contents: nil),
        let handle = FileHandle(forWritingAtPath: path)
      else { throw Self.cannotWrite(name, "it cannot be made") }
      return Draft(name: name, folder: draft, handle: handle)
    } catch {
      slots.give()
      throw error as? RunRequestError ?? Self.cannotWrite(name, "\(error)")
    }
  }

  /// - Throws: `RunRequestError` if the file becomes too large, or the disk does not take it.
  func add(_ bytes: [UInt8], to draft: Draft) throws {
    let size = draft.size.withLock { size in
      size += bytes.count
      return size
    }
    guard size <= limit else { throw Self.tooLarge(limit, folder) }
    do { try draft.handle.write(contentsOf: bytes) } catch { throw Self.cannotWrite(draft.name, "\(error)") }
  }

  /// The file is whole: it is on the disk, under its id.
  func keep(_ draft: Draft) throws -> File {
    let created = Int(Timestamp.now().milliseconds / 1000)
    let about: JSONValue = [
      "name": .string(draft.name), "created_at": .number(created), "purpose": .string(Self.purpose),
    ]
    do {
      try draft.handle.synchronize()
      try AtomicFile.write(about.bytes(), to: draft.folder + "/" + Self.about)
      try FileSystem.rename(draft.folder, to: folder + "/" + draft.id)
      try FileSystem.syncFolder(folder)
    } catch { throw Self.cannotWrite(draft.name, "\(error)") }
    return try file(draft.id)
  }

  /// Whether it was kept or not, nothing more comes.
  func end(_ draft: Draft) {
    try? draft.handle.close()
    // It is there no longer if the file was kept.
    try? FileSystem.remove(draft.folder)
    slots.give()
  }

  static func tooLarge(_ limit: Int, _ folder: String) -> RunRequestError {
    RunRequestError(
      .tooLarge, "the file has more than the \(limit) bytes that one may have", field: "file",
      hint: "put it into \(folder) by other means")
  }

  private static func cannotWrite(_ name: String, _ reason: String) -> RunRequestError {
    RunRequestError(
      .unavailable, "\(name) could not be written: \(reason)",
      hint: "make room on the disk, see who owns the folder")
  }

  // MARK: - What is there

  /// The newest first.
  var all: [File] {
    let names = (try? FileSystem.names(in: folder)) ?? []
    return names.compactMap { try? file($0) }.sorted { ($0.created, $0.id) > ($1.created, $1.id) }
  }

  /// - Throws: `OpenAIError` (404) if there is none.
  func file(_ id: String) throws -> File {
    let own = folder + "/" + id
    guard OpenAIID.isOne(id, Self.prefix), let bytes = try? AtomicFile.read(own + "/" + Self.about),
      let about = try? JSONValue(parsing: bytes), let name = about["name"]?.string, PathPolicy.isName(name),
      let size = FileSystem.size(own + "/" + name)
    else { throw OpenAIError(.notFound, "there is no file \(id.prefix(80))", param: "file_id") }
    return File(
      id: id, name: name, path: own + "/" + name, bytes: size, created: about["created_at"]?.int ?? 0,
      purpose: about["purpose"]?.string ?? Self.purpose)
  }

  /// The id of the file at a path; the path below the data folder if that is not of this shelf.
  func id(of path: String) -> String {
    guard path.hasPrefix(folder + "/") else { return path }
    let parts = path.dropFirst(folder.count + 1)
    let first = parts.split(separator: "/").first.map(String.init) ?? ""
    return OpenAIID.isOne(first, Self.prefix) ? first : String(parts)
  }

  func remove(_ id: String) throws {
    let file = try file(id)
    // It is gone from the list at once, and what a crash leaves is cleared away by the next start.
    let gone = folder + "/" + Uploads.prefix + file.id
    do {
      try FileSystem.rename(folder + "/" + file.id, to: gone)
      try FileSystem.remove(gone)
    } catch { throw RunRequestError(.unavailable, "\(id) could not be deleted: \(error)") }
  }
}
