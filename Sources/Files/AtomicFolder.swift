#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Folders that appear under their name whole or not at all.
public enum AtomicFolder {
  /// Lets `body` fill a folder beside `path`, then renames it to `path`, which must not be there yet. Nothing of it is
  /// left if `body` throws.
  public static func make(_ path: String, _ body: (_ temporary: String) throws -> Void) throws {
    guard FileSystem.kind(path) == nil else {
      throw FileError(path: path, doing: "making the folder", reason: "it is already there")
    }
    let parent = FileSystem.folder(of: path)
    try FileSystem.makeFolders(parent)
    let temporary = "\(path).\(getpid()).partial"
    try FileSystem.remove(temporary)
    do {
      try FileSystem.makeFolder(temporary)
      try body(temporary)
      try FileSystem.syncFolder(temporary)
      try FileSystem.rename(temporary, to: path)
    } catch {
      try? FileSystem.remove(temporary)
      throw error
    }
    try FileSystem.syncFolder(parent)
  }
}
