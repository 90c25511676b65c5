import Files
import Transport

#if canImport(Glibc)
  import Glibc
#elseif canImport(Musl)
  import Musl
#elseif canImport(Darwin)
  import Darwin
#endif

/// Files with keys. No error ever repeats what is in one: it may be a secret, given in the wrong place.
public enum KeyFile {
  /// Marks the line of a secret key, so that neither kind of file passes for the other.
  private static let secretMark = "nl-secret-key"
  private static let maximumBytes = 4 << 20
  private static let maximumKeys = 65_536
  private static let maximumNameBytes = 64

  // MARK: Writing

  /// Makes a key: the secret one in a file that only its owner can read, the public one beside it in `FILE.pub`.
  ///
  /// - Returns: the public key, as text.
  /// - Throws: `FileError`, or `ServiceError` if one of the files exists; nothing is left behind then.
  public static func generate(path: String) throws -> String {
    let key = try SecretKey.generate()
    let publicPath = path + ".pub"
    for file in [path, publicPath] where FileSystem.kind(file) != nil {
      throw ServiceError(
        "\(file) exists already", remedy: "give another --output, or delete it if nobody uses it")
    }
    let secretText = """
      # A secret key: whoever has it can pass for you. Its public key is in \(FileSystem.name(of: publicPath)).
      \(secretMark) \(key.exposedText)

      """
    try create(path, secretText, mode: 0o600)
    do {
      try create(publicPath, "\(key.publicKey) \(printableName(of: path))\n", mode: 0o644)
      try FileSystem.syncFolder(FileSystem.folder(of: path))
    } catch {
      unlink(path)
      throw error
    }
    return key.publicKey.description
  }

  private static func create(_ path: String, _ text: String, mode: mode_t) throws {
    let descriptor = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "making the file", code: errno) }
    defer { close(descriptor) }
    let bytes = Array(text.utf8)
    guard fchmod(descriptor, mode) == 0, write(descriptor, bytes, bytes.count) == bytes.count,
      fsync(descriptor) == 0
    else {
      let code = errno
      unlink(path)
      throw FileError(path: path, doing: "writing", code: code)
    }
  }

  private static func printableName(of path: String) -> String {
    let name = FileSystem.name(of: path).unicodeScalars.map {
      $0.isASCII && $0.value > 0x20 ? Character($0) : "_"
    }
    return String(name.prefix(maximumNameBytes))
  }

  // MARK: Reading

  /// The secret key of a file that nobody but its owner may read or change; but a group may read root's, as in the
  /// Secrets of Kubernetes and the credentials of systemd, where that group is the program's own. So does PostgreSQL.
  static func secretKey(path: String) throws -> SecretKey {
    guard !path.hasSuffix(".pub") else {
      throw ServiceError(
        "\(path) is the file of a public key", remedy: "give the secret one, \(path.dropLast(4))")
    }
    let lines = try lines(of: path, isSecret: true)
    guard lines.count == 1, let line = lines.first else {
      throw ServiceError(
        "\(path): holds \(lines.count) lines beside comments, not the one of a secret key", remedy: remedy)
    }
    guard line.words.count == 2, line.words[0] == secretMark, let key = SecretKey(line.words[1]) else {
      throw ServiceError("\(path):\(line.number): not a secret key", remedy: remedy)
    }
    return key
  }

  private static let remedy = "make one with: nl-tool keygen --output FILE"

  /// A public key, given as itself or as the file that `nl-tool keygen` wrote it to.
  static func publicKey(_ text: String) throws -> PublicKey {
    // A file's path may look like a key.
    guard FileSystem.kind(text) != nil else {
      // And a path that is as long as a key may be read as one, which "/etc/nested-learning/coordinator.key.pub" is.
      if text.hasSuffix(".pub") { throw FileError(path: text, doing: "reading the key file", code: ENOENT) }
      // A line of a .pub file has a name behind the key.
      if let key = text.split(separator: " ").first.flatMap({ PublicKey(String($0)) }) { return key }
      throw ServiceError(
        "--server-key is neither a file nor a public key of \(PublicKey.textCount) characters",
        remedy: "give the coordinator's public key, or the .pub file that nl-tool keygen wrote")
    }
    let keys = try publicKeys(path: text)
    guard keys.count == 1, let key = keys.first?.key else {
      throw ServiceError(
        "\(text): holds \(keys.count) public keys, not one", remedy: "give the coordinator's .pub file")
    }
    return key
  }

  /// A list of public keys: one a line, a name behind it if you like, comments with `#`.
  ///
  /// - Parameter mayBeNobody: a list of comments alone is one that lets nobody in. An empty file never is: somebody may
  ///   be about to write it.
  static func allowedKeys(path: String, mayBeNobody: Bool = false) throws -> [PublicKey: String] {
    let keys = try publicKeys(path: path)
    if keys.isEmpty {
      let isEmpty = try bytes(of: path, isSecret: false).allSatisfy { [0x20, 0x09, 0x0A, 0x0D].contains($0) }
      guard mayBeNobody, !isEmpty else {
        throw ServiceError(
          "\(path): holds no public key, so that nobody could join",
          remedy: mayBeNobody
            ? "a line \"# nobody\" in it sends all workers away" : "add the workers' .pub files")
      }
    }
    return Dictionary(uniqueKeysWithValues: keys)
  }

  private static func publicKeys(path: String) throws -> [(key: PublicKey, name: String)] {
    var seen: [PublicKey: Int] = [:]
    return try lines(of: path, isSecret: false).map { line in
      guard line.words.count <= 2, let key = line.words.first.flatMap({ PublicKey($0) }) else {
        throw ServiceError(
          "\(path):\(line.number): not a public key",
          remedy:
            "a line is the \(PublicKey.textCount) characters of a .pub file, then a name without spaces if you like"
        )
      }
      if let first = seen[key] {
        throw ServiceError(
          "\(path):\(line.number): the same key as in line \(first)", remedy: "delete one of them")
      }
      guard seen.count < maximumKeys else { throw ServiceError("\(path): more than \(maximumKeys) keys") }
      seen[key] = line.number
      return (key, line.words.count > 1 ? String(line.words[1].prefix(maximumNameBytes)) : "")
    }
  }

  private struct Line {
    let number: Int
    let words: [String]
  }

  /// The lines that are neither empty nor comments.
  private static func lines(of path: String, isSecret: Bool) throws -> [Line] {
    let text = String(decoding: try bytes(of: path, isSecret: isSecret), as: UTF8.self)
    return text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated().compactMap {
      number, line in
      let words = line.split(whereSeparator: { $0 == " " || $0 == "\t" }).map(String.init)
      guard let first = words.first, !first.hasPrefix("#") else { return nil }
      return Line(number: number + 1, words: words)
    }
  }

  private static func bytes(of path: String, isSecret: Bool) throws -> [UInt8] {
    // Not to wait for the other end of a pipe.
    let descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK)
    guard descriptor >= 0 else { throw FileError(path: path, doing: "reading the key file", code: errno) }
    defer { close(descriptor) }
    var info = stat()
    guard fstat(descriptor, &info) == 0 else {
      throw FileError(path: path, doing: "reading the key file", code: errno)
    }
    guard FileSystem.kind(info.st_mode) == .file else { throw ServiceError("\(path) is not a file") }
    if isSecret, info.st_mode & (info.st_uid == 0 ? 0o037 : 0o077) != 0 {
      throw ServiceError(
        "\(path) can be read or changed by others than its owner", remedy: "chmod 600 \(path)")
    }
    guard info.st_size <= maximumBytes else { throw ServiceError("\(path) is too long for a file of keys") }
    var bytes = [UInt8](repeating: 0, count: Int(info.st_size))
    var filled = 0
    while filled < bytes.count {
      let count = bytes.withUnsafeMutableBytes {
        read(descriptor, $0.baseAddress.map { $0 + filled }, $0.count - filled)
      }
      if count < 0, errno == EINTR { continue }
      guard count >= 0 else { throw FileError(path: path, doing: "reading the key file", code: errno) }
      if count == 0 { break }
      filled += count
    }
    return Array(bytes.prefix(filled))
  }
}
