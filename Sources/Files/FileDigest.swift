import Digests

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// SHA-256 of files, in hexadecimal: how a run recognises its model, data and adapter again.
public enum FileDigest {
  /// Bytes that are read at a time.
  private static let blockByteCount = 1 << 22

  /// The digest of one file's bytes.
  public static func sha256(file path: String) throws(FileError) -> String {
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "reading", code: errno) }
    defer { close(descriptor) }
    let block = UnsafeMutableRawBufferPointer.allocate(byteCount: blockByteCount, alignment: 16)
    defer { block.deallocate() }
    var digest = DigestBuilder()
    while true {
      let count = read(descriptor, block.baseAddress, block.count)
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(path: path, doing: "reading", code: errno) }
      if count == 0 { return digest.finish() }
      digest.update(UnsafeRawBufferPointer(rebasing: block[..<count]))
    }
  }

  /// The digest of several files: over one line `<sha256>  <file name>` each, in the order of their names' bytes, as
  /// `sha256sum * | sha256sum` gives it inside the folder.
  public static func sha256(files: [String]) throws(FileError) -> String {
    combined(try each(files))
  }

  /// The digest of each of several files, with its name.
  public static func each(_ files: [String]) throws(FileError) -> [(name: String, sha256: String)] {
    var digests: [(name: String, sha256: String)] = []
    for file in files {
      let sha256 = try sha256(file: file)
      digests.append((FileSystem.name(of: file), sha256))
    }
    return digests
  }

  /// The digest of several files from theirs.
  public static func combined(_ files: [(name: String, sha256: String)]) -> String {
    var digest = DigestBuilder()
    for file in files.sorted(by: { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }) {
      digest.update("\(file.sha256)  \(file.name)\n")
    }
    return digest.finish()
  }
}
