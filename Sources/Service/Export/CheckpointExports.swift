import Files
import Foundation
import JSON
import LanguageModel
import Logging
import Synchronization

/// Checkpoints in forms that are made when somebody asks for them: by a process of low priority beside this one, one at a
/// time, in a folder that is gone as soon as nobody wants it any more.
public final class CheckpointExports: Sendable {
  /// The folder within that of the runs; what is in it when a service begins is left over from one that was killed.
  static let folderName = ".exports"

  private let folder: String
  private let logger: Logger
  private let current = Mutex<CheckpointExport?>(nil)
  /// Bytes that are left free on the disk, so that runs can go on.
  private static let spareBytes = 256_000_000

  /// - Parameter runs: the folder of runs
  public init(runs: String, logger: Logger) {
    folder = runs + "/" + Self.folderName
    self.logger = logger
    if FileSystem.kind(folder) != nil { try? FileSystem.remove(folder) }
  }

  /// Begins to make one.
  ///
  /// - Parameters:
  ///   - adapter: the checkpoint's folder
  ///   - model: the base model's folder
  ///   - name: of what is made
  /// - Throws: `RunRequestError` with `tooMany` while another is being made or sent, with `unavailable` if the disk has no
  ///   room for it or no process can be begun.
  public func begin(_ form: CheckpointForm, adapter: String, model: String, name: String) throws
    -> CheckpointExport
  {
    let path = folder + "/" + String(UInt64.random(in: 0...UInt64.max), radix: 16)
    let export = CheckpointExport(form: form, folder: path, name: name, logger: logger) {
      [weak self] export in
      self?.current.withLock { if $0 === export { $0 = nil } }
    }
    try current.withLock { current in
      guard current == nil else {
        throw RunRequestError(
          .tooMany, "another checkpoint is being made ready for download",
          hint: "they are made one at a time: ask again later")
      }
      current = export
    }
    do {
      try checkRoom(form, model)
      try FileSystem.makeFolders(path)
      try export.begin(adapter: adapter, model: model)
    } catch {
      export.end()
      throw error
    }
    return export
  }

  private func checkRoom(_ form: CheckpointForm, _ model: String) throws {
    guard form.modelCopies > 0, let size = (try? ModelFolder(path: model)).flatMap(ModelFiles.byteCount),
      let free = FileSystem.freeBytes(at: folder)
    else { return }
    let needed = form.modelCopies * size + Self.spareBytes
    guard free < needed else { return }
    throw RunRequestError(
      .unavailable, "\(needed) bytes are needed for this, and \(free) are free on the disk of the runs",
      hint: "make room, or use nl-tool merge elsewhere")
  }

  /// Ends the one that is being made, if there is one.
  public func stop() { current.withLock { $0 }?.end() }
}
