#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Operations on files and folders, each with an error that names the path. Contents and names are durable only
/// once they are synced: the file for its bytes, its folder for its name.
public enum FileSystem {
  /// What is about to happen to a file or folder.
  package enum Change: Sendable, Equatable {
    /// Nothing changes: a file is read.
    case read(String)
    case create(String)
    case write(String, count: Int)
    case truncate(String)
    case sync(String)
    case rename(String, to: String)
    case makeFolder(String)
    case remove(String)

    package var path: String {
      switch self {
      case .read(let path), .create(let path), .write(let path, _), .truncate(let path), .sync(let path),
        .rename(_, let path),
        .makeFolder(let path), .remove(let path):
        path
      }
    }
  }

  /// Hears of every change before it is made, and of reading, and may make it fail with an error number: how tests cut the
  /// power, or break the disk, at any of them.
  package final class Watcher: Sendable {
    package let hear: @Sendable (Change) -> Int32?

    package init(_ hear: @escaping @Sendable (Change) -> Int32?) { self.hear = hear }
  }

  /// Nil outside of tests.
  @TaskLocal package static var watcher: Watcher?

  package static func watch(_ change: Change) throws(FileError) {
    guard let watcher, let code = watcher.hear(change) else { return }
    let doing = if case .read = change { "reading" } else { "changing" }
    throw FileError(path: change.path, doing: doing, code: code)
  }

  public enum Kind: Sendable { case file, folder, other }

  /// What stands at a path, a symbolic link being what it points to; nil if nothing does.
  public static func kind(_ path: String) -> Kind? {
    var info = stat()
    guard stat(path, &info) == 0 else { return nil }
    return kind(info.st_mode)
  }

  package static func kind(_ mode: mode_t) -> Kind {
    switch mode & S_IFMT {
    case S_IFREG: .file
    case S_IFDIR: .folder
    default: .other
    }
  }

  /// The length of a file in bytes; nil if there is none.
  package static func size(_ path: String) -> Int? {
    var info = stat()
    guard stat(path, &info) == 0, kind(info.st_mode) == .file else { return nil }
    return Int(info.st_size)
  }

  /// When a file or folder was last changed, in seconds since 1970; nil if there is none.
  package static func modificationTime(_ path: String) -> Double? {
    var info = stat()
    guard stat(path, &info) == 0 else { return nil }
    #if canImport(Darwin)
      let time = info.st_mtimespec
    #else
      let time = info.st_mtim
    #endif
    return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
  }

  /// Sets the time of a file's last change to now, as a sign that it was used. Where that is not possible it stays.
  package static func touch(_ path: String) { utimensat(AT_FDCWD, path, nil, 0) }

  /// The names in a folder but `.` and `..`, in the order of their bytes.
  public static func names(in folder: String) throws(FileError) -> [String] {
    guard let stream = opendir(folder) else {
      throw FileError(path: folder, doing: "reading the folder", code: errno)
    }
    defer { closedir(stream) }
    var names: [String] = []
    while true {
      errno = 0
      guard let entry = readdir(stream) else { break }
      let name = withUnsafePointer(to: &entry.pointee.d_name) { pointer in
        pointer.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: pointer.pointee)) {
          String(cString: $0)
        }
      }
      if name != ".", name != ".." { names.append(name) }
    }
    guard errno == 0 else { throw FileError(path: folder, doing: "reading the folder", code: errno) }
    return names.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
  }

  /// Makes a folder and those above it that are missing; each new name is synced. So is that of a folder which is there:
  /// whoever made it may have failed, or died, before it was.
  public static func makeFolders(_ path: String) throws(FileError) {
    let above = folder(of: path)
    if kind(path) == .folder {
      do { try syncFolder(above) } catch {
        // What this user may not even read it has not made.
        guard error.code == EACCES || error.code == EPERM else { throw error }
      }
      return
    }
    if above != path { try makeFolders(above) }
    try makeFolder(path, orUseExisting: true)
    try syncFolder(above)
  }

  package static func makeFolder(_ path: String, orUseExisting: Bool = false) throws(FileError) {
    try watch(.makeFolder(path))
    guard mkdir(path, 0o777) != 0 else { return }
    let code = errno
    if orUseExisting, code == EEXIST, kind(path) == .folder { return }
    throw FileError(path: path, doing: "making the folder", code: code)
  }

  public static func rename(_ old: String, to new: String) throws(FileError) {
    try watch(.rename(old, to: new))
    guard systemRename(old, new) == 0 else {
      throw FileError(path: new, doing: "renaming \(name(of: old)) to it", code: errno)
    }
  }

  /// Deletes a file, or a folder with all that is in it; nothing happens if there is none.
  public static func remove(_ path: String) throws(FileError) {
    var info = stat()
    guard lstat(path, &info) == 0 else {
      if errno == ENOENT { return }
      throw FileError(path: path, doing: "deleting", code: errno)
    }
    let isFolder = kind(info.st_mode) == .folder
    if isFolder {
      for name in try names(in: path) { try remove(path + "/" + name) }
    }
    try watch(.remove(path))
    guard (isFolder ? rmdir(path) : unlink(path)) == 0 || errno == ENOENT else {
      throw FileError(path: path, doing: "deleting", code: errno)
    }
  }

  /// Puts the names in a folder on the disk.
  public static func syncFolder(_ path: String) throws(FileError) {
    try sync(path, flags: O_RDONLY | O_DIRECTORY)
  }

  /// Puts a folder on the disk with all that is in it, the deepest first.
  public static func syncTree(_ path: String) throws(FileError) {
    for name in try names(in: path) {
      let entry = path + "/" + name
      if kind(entry) == .folder { try syncTree(entry) } else { try sync(entry, flags: O_RDONLY) }
    }
    try syncFolder(path)
  }

  /// Writes a file's bytes once more, where they are, and syncs them: what a reader sees may be no more than the memory of
  /// a sync that failed, which no later sync puts on the disk. Nobody else may write to it meanwhile.
  package static func renew(_ path: String) throws(FileError) {
    let bytes = try AtomicFile.read(path)
    let descriptor = open(path, O_WRONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "opening", code: errno) }
    defer { close(descriptor) }
    let result = bytes.withUnsafeBytes { buffer in
      Result { () throws(FileError) in try AtomicFile.writeAll(buffer, to: descriptor, path: path) }
    }
    try result.get()
    try watch(.sync(path))
    guard fsync(descriptor) == 0 else { throw FileError(path: path, doing: "syncing", code: errno) }
  }

  private static func sync(_ path: String, flags: Int32) throws(FileError) {
    try watch(.sync(path))
    let descriptor = open(path, flags | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "syncing", code: errno) }
    defer { close(descriptor) }
    guard fsync(descriptor) == 0 else { throw FileError(path: path, doing: "syncing", code: errno) }
  }

  /// A path as the shell takes it: `~` at its beginning is the user's home folder.
  public static func expandingTilde(_ path: String) -> String {
    guard path == "~" || path.hasPrefix("~/"), let home = getenv("HOME"), home.pointee != 0 else {
      return path
    }
    return String(cString: home) + path.dropFirst()
  }

  /// An absolute path without `.` and `..`: relative ones begin in the working folder, `~` is the home folder. What
  /// stands before a `..` is followed if it is a symbolic link, as the system does; other links stay as they are.
  public static func absolute(_ path: String) -> String {
    var path = expandingTilde(path)
    if !path.hasPrefix("/") { path = workingFolder + "/" + path }
    var result = ""
    for part in path.split(separator: "/") where part != "." {
      if part == ".." {
        result = folder(of: realPath(result) ?? result)
        if result == "/" || result == "." { result = "" }
      } else {
        result += "/" + part
      }
    }
    return result.isEmpty ? "/" : result
  }

  private static var workingFolder: String {
    guard let text = getcwd(nil, 0) else { return "/" }
    defer { free(text) }
    return String(cString: text)
  }

  private static func realPath(_ path: String) -> String? {
    guard let text = realpath(path.isEmpty ? "/" : path, nil) else { return nil }
    defer { free(text) }
    return String(cString: text)
  }

  /// Bytes that may still be written where a path is or would be; nil if the system does not say.
  public static func freeBytes(at path: String) -> Int? {
    var place = absolute(path)
    while kind(place) == nil, place != "/" { place = folder(of: place) }
    var info = statvfs()
    guard statvfs(place, &info) == 0 else { return nil }
    let (bytes, overflow) = Int(clamping: info.f_bavail).multipliedReportingOverflow(
      by: Int(clamping: info.f_frsize))
    return overflow ? nil : bytes
  }

  /// The folder that holds a path's last component; `.` for a bare name.
  public static func folder(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return "." }
    return slash == path.utf8.startIndex ? "/" : String(path[..<slash])
  }

  /// A path's last component.
  public static func name(of path: String) -> String {
    guard let slash = path.utf8.lastIndex(of: UInt8(ascii: "/")) else { return path }
    return String(path[path.utf8.index(after: slash)...])
  }
}

/// `FileSystem.rename` hides the system's function of the same name.
private func systemRename(_ old: String, _ new: String) -> Int32 { rename(old, new) }
