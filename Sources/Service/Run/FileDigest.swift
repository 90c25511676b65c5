import Crypto
import Foundation

/// SHA-256 of files, in hexadecimal: how a run recognises its model, data and adapter again.
public enum FileDigest {
  /// The digest of one file's bytes.
  ///
  /// - Throws: `ServiceError` that names the file if it cannot be read.
  public static func sha256(file path: String) throws -> String {
    guard let handle = FileHandle(forReadingAtPath: path) else {
      throw ServiceError("cannot read \(path)", remedy: "check that the file exists and may be read")
    }
    defer { try? handle.close() }
    var hash = SHA256()
    while let block = try handle.read(upToCount: 1 << 22), !block.isEmpty { hash.update(data: block) }
    return hexadecimal(hash.finalize())
  }

  /// The digest of several files: over one line `<sha256>  <file name>` each, in the order of their names, as
  /// `sha256sum * | sha256sum` would give it inside the folder.
  public static func sha256(files: [String]) throws -> String {
    var hash = SHA256()
    for path in files.sorted(by: { Self.name($0) < Self.name($1) }) {
      hash.update(data: Data("\(try sha256(file: path))  \(name(path))\n".utf8))
    }
    return hexadecimal(hash.finalize())
  }

  private static func name(_ path: String) -> String { (path as NSString).lastPathComponent }

  static func hexadecimal(_ digest: some Sequence<UInt8>) -> String {
    digest.map { byte in
      let digits = String(byte, radix: 16)
      return byte < 16 ? "0" + digits : digits
    }.joined()
  }
}
