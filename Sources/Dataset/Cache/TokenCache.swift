import Digests
import Files
import Foundation
import JSON
import NestedLearning

/// A folder of files of token rows, each named by everything that decides it: the data's bytes, the files that say how text
/// becomes ids, and the options. What is there is used; nothing in it is ever changed.
public struct TokenCache: Sendable {
  public static let variable = "NL_TOKEN_CACHE"
  /// How many bytes the folder may have, as in `200GB`; `off`: any number.
  public static let limitVariable = "NL_TOKEN_CACHE_LIMIT"
  public static let standardLimit = ByteSize(bytes: 100_000_000_000)
  /// Grows with everything that makes other rows of the same files.
  private static let revision = 1
  /// A file with fewer bytes is tokenized each time, in memory, unless a folder is asked for.
  private static let leastBytes = 4 << 20

  public let folder: String
  /// Whether the folder was asked for.
  let isChosen: Bool
  /// Of what says how text becomes ids: digests of files, the date that templates see.
  let encoding: [String]
  /// As it was given.
  private let limit: String?

  /// - Parameter encoding: everything that decides how text becomes ids.
  /// - Returns: nil if the environment says `off`, or no folder is known.
  public init?(environment: [String: String], encoding: [String]) {
    func given(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    isChosen = given(Self.variable) != nil
    self.encoding = encoding
    limit = given(Self.limitVariable)
    guard given(Self.variable) != "off", let folder = Self.folder(environment: environment) else {
      return nil
    }
    self.folder = folder
  }

  /// Where rows are kept; nil if no folder is known.
  public static func folder(environment: [String: String]) -> String? {
    func given(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    if let chosen = given(Self.variable), chosen != "off" { return FileSystem.absolute(chosen) }
    if let caches = given("XDG_CACHE_HOME"), caches.hasPrefix("/") {
      return caches + "/nested-learning/tokens"
    }
    return given("HOME").map { $0 + "/.cache/nested-learning/tokens" }
  }

  /// Where the rows of a file are, or will be; nil if they are not to be kept.
  ///
  /// - Parameter sha256: gives the digest of a file.
  func path(
    of file: String, _ options: RowOptions, _ trainOn: TrainOn, sha256: (String) throws -> String
  ) throws -> String? {
    var info = stat()
    guard stat(file, &info) == 0, info.st_mode & S_IFMT == S_IFREG,
      isChosen || info.st_size >= Self.leastBytes
    else { return nil }
    var digest = DigestBuilder()
    let members =
      [
        "token rows, revision \(Self.revision)", try sha256(file), DataFormat.kindByName(of: file),
        trainOn.rawValue, options.longRows.rawValue, "\(options.maxLength)", "\(options.skipUnusable)",
        "\(options.collectsFaults)",
      ] + (options.keepsUnlabelled ? ["rows without a label"] : []) + encoding
    for member in members { digest.update("\(member.utf8.count) \(member)\n") }
    return "\(folder)/\(digest.finish())\(CachedRows.suffix)"
  }

  /// Makes the folder, and takes away what processes that are gone have left in it.
  func prepare() throws(DataError) {
    _ = try limitBytes()
    do throws(FileError) {
      try FileSystem.makeFolders(folder)
      guard access(folder, W_OK | X_OK) == 0 else {
        throw FileError(path: folder, doing: "writing", code: errno)
      }
    } catch {
      throw DataError(
        file: folder, reason: "token rows cannot be kept there: \(error.reason)",
        remedy: "name another folder in \(Self.variable), or set it to off to keep them in memory")
    }
    for name in (try? FileSystem.names(in: folder)) ?? [] where Self.isLeftBehind(name, in: folder) {
      try? FileSystem.remove(folder + "/" + name)
    }
  }

  /// Whether a file was being written by a process that is gone. One of another machine, with which the folder may be
  /// shared, is known by its writing: nothing is written for ten minutes by none.
  private static func isLeftBehind(_ name: String, in folder: String) -> Bool {
    guard name.hasPrefix(".tmp-"), let id = pid_t(name.dropFirst(5).prefix { $0.isNumber }) else {
      return false
    }
    var info = stat()
    guard stat(folder + "/" + name, &info) == 0, info.st_mtim.tv_sec < time(nil) - 600 else { return false }
    return kill(id, 0) != 0 && errno == ESRCH
  }

  /// nil: there is none.
  private func limitBytes() throws(DataError) -> Int? {
    guard let limit else { return Self.standardLimit.bytes }
    if limit == "off" { return nil }
    guard let size = ByteSize(text: limit) else {
      throw DataError(
        file: folder, reason: "\(Self.limitVariable) is \(limit), which is no number of bytes",
        remedy: "give one such as \(Self.standardLimit), or off")
    }
    return size.bytes
  }

  /// Deletes what the limit has no room for, the least recently used first.
  func evict() throws(DataError) { CachedRows(folder: folder).evict(limit: try limitBytes()) }

  /// - Parameters:
  ///   - needed: bytes that the rows of a whole file will take, by those that were read.
  /// - Throws: `DataError` if the disk has no room for them.
  func checkRoom(_ needed: Int, file: String) throws(DataError) {
    guard let free = FileSystem.freeBytes(at: folder), free < needed else { return }
    throw DataError(
      file: folder,
      reason:
        "the token rows of \(file) will take about \(needed / 1_000_000) MB, and the disk has \(free / 1_000_000) left",
      remedy: "name a folder on a larger disk in \(Self.variable), or set it to off to keep them in memory")
  }
}
