import Files
import Foundation

/// Base models that were fetched from coordinators, each in a folder named by its SHA-256. Several workers of a machine
/// use one cache: who fetches holds a kernel lock, all others wait for it.
///
///     <cache>/<sha256>/            whole: every file had its digest
///     <cache>/<sha256>.partial/    being fetched; NAME.part is a file up to the byte that it has
///     <cache>/<sha256>.lock
struct ModelCache: Sendable {
  static let variable = "NL_MODEL_CACHE"

  let path: String

  init(path: String) { self.path = path }

  /// The cache that is asked for: by option, else by environment, else in the user's cache folder.
  ///
  /// - Throws: `ServiceError` if no folder is known.
  init(option: String?, environment: [String: String]) throws {
    func given(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    if let chosen = option ?? given(Self.variable) {
      path = FileSystem.absolute(chosen)
    } else if let caches = given("XDG_CACHE_HOME"), caches.hasPrefix("/") {
      path = caches + "/nested-learning/models"
    } else if let home = given("HOME") {
      path = home + "/.cache/nested-learning/models"
    } else {
      throw ServiceError(
        "there is no folder to keep the base model in: HOME is not set",
        remedy: "give one with --model-cache DIR")
    }
  }

  func folder(_ sha256: String) -> String { path + "/" + sha256 }
  func partialFolder(_ sha256: String) -> String { folder(sha256) + Self.partialSuffix }

  static let partialSuffix = ".partial"

  /// Notes that a model is taken up now, by the time of its folder; that this fails matters to nobody at work.
  func noteUse(_ sha256: String) { _ = utimensat(AT_FDCWD, folder(sha256), nil, 0) }

  func lock(_ sha256: String) throws -> FolderLock { try FolderLock(path: folder(sha256) + ".lock") }

  /// A folder that has turned out damaged becomes a partial one again, so that only what is damaged is fetched.
  func reopen(_ sha256: String) throws {
    guard FileSystem.kind(folder(sha256)) != nil else { return }
    if FileSystem.kind(partialFolder(sha256)) != nil {
      try FileSystem.remove(folder(sha256))
    } else {
      try FileSystem.rename(folder(sha256), to: partialFolder(sha256))
    }
  }

  /// Everything is there: the folder gets its name.
  func finish(_ sha256: String) throws {
    try FileSystem.syncFolder(partialFolder(sha256))
    try FileSystem.rename(partialFolder(sha256), to: folder(sha256))
    try FileSystem.syncFolder(path)
  }

  /// The bytes that a fetch has so far, wherever they lie; 0 if that cannot be told.
  func fetchedBytes(_ sha256: String) -> Int {
    let folder = partialFolder(sha256)
    let names = (try? FileSystem.names(in: folder)) ?? []
    return names.reduce(0) { sum, name in
      var info = stat()
      return stat(folder + "/" + name, &info) == 0 ? sum + Int(info.st_size) : sum
    }
  }

  /// Bytes that can still be written; nil if that cannot be told.
  var freeBytes: Int? {
    var info = statvfs()
    guard statvfs(path, &info) == 0 else { return nil }
    let (bytes, overflow) = Int(clamping: info.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: info.f_frsize))
    return overflow ? nil : bytes
  }
}
