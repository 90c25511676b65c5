import Files
import Foundation

/// The files of token rows that are kept on this machine, for those who look after its disk. A run that reads one keeps it
/// open, so that any of them may be deleted at any time: it is made anew when it is next needed.
public struct CachedRows: Sendable {
  public let folder: String

  public init(folder: String) { self.folder = folder }

  /// The rows of one data file.
  public struct File: Sendable {
    /// Of all that made them.
    public let sha256: String
    public let path: String
    public let bytes: Int
    /// When they were last opened or made.
    public let lastUsed: Date
    /// nil for a file that is not whole.
    public let rows: Int?
    public let tokens: Int?
  }

  static let suffix = ".rows"

  /// The latest used first.
  public func list() throws(FileError) -> [File] {
    guard FileSystem.kind(folder) == .folder else { return [] }
    return try FileSystem.names(in: folder).compactMap(file).sorted { $0.lastUsed > $1.lastUsed }
  }

  public func remove(_ file: File) throws(FileError) { try FileSystem.remove(file.path) }

  private func file(named name: String) -> File? {
    let sha256 = String(name.dropLast(Self.suffix.count))
    let path = folder + "/" + name
    guard name.hasSuffix(Self.suffix), sha256.utf8.count == 64, sha256.allSatisfy(\.isHexDigit),
      let bytes = FileSystem.size(path), let modified = FileSystem.modificationTime(path)
    else { return nil }
    let layout = TokenCacheFile.layout(of: path)
    return File(
      sha256: sha256, path: path, bytes: bytes, lastUsed: Date(timeIntervalSince1970: modified),
      rows: layout?.entryCount, tokens: layout?.tokenCount)
  }

  /// Files that were used within this time stay whatever the limit is.
  static let keptSeconds = 3600.0
  /// Files that were not used for this time go.
  static let unusedSeconds = 90 * 86_400.0

  /// Deletes what was not used for long, and then the least recently used, until all together have at most `limit` bytes.
  /// What cannot be deleted stays.
  ///
  /// - Parameter limit: nil: there is none.
  func evict(limit: Int?, now: Date = Date()) {
    let files = (try? list()) ?? []
    var total = files.reduce(0) { $0 + $1.bytes }
    for file in files.reversed() {
      let unused = now.timeIntervalSince(file.lastUsed)
      let isOver = limit.map { total > $0 } ?? false
      guard unused > Self.unusedSeconds || (isOver && unused > Self.keptSeconds) else { continue }
      if (try? remove(file)) != nil { total -= file.bytes }
    }
  }
}
