import Foundation

/// A folder that is gone with the object.
package final class RunTestFolder {
  package let path: String

  /// - Parameter inMemory: where syncing costs nothing, if there is such a volume.
  package init(inMemory: Bool = false) throws {
    let memory = "/dev/shm/"
    let root = inMemory && access(memory, W_OK) == 0 ? memory : NSTemporaryDirectory()
    path = root + "nl-run-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  package func file(_ name: String) -> String { path + "/" + name }

  package func write(_ text: String, to name: String) throws {
    try text.write(toFile: file(name), atomically: false, encoding: .utf8)
  }

  package func text(_ name: String) throws -> String {
    try String(contentsOfFile: file(name), encoding: .utf8)
  }

  /// The paths of all files below, relative to the folder.
  package func files() -> [String] { (FileManager.default.subpaths(atPath: path) ?? []).sorted() }
}

/// The description of the error that `body` throws; empty if it throws none.
package func errorText(_ body: () throws -> Void) -> String {
  do { try body() } catch { return "\(error)" }
  return ""
}
