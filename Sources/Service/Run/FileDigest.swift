import Foundation
import LanguageModel
import WireProtocol

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
    var digest = DigestBuilder()
    while let block = try handle.read(upToCount: 1 << 22), !block.isEmpty {
      block.withUnsafeBytes { digest.update($0) }
    }
    return digest.finish()
  }

  /// The digest of several files: over one line `<sha256>  <file name>` each, in the order of their names, as
  /// `sha256sum * | sha256sum` would give it inside the folder.
  public static func sha256(files: [String]) throws -> String {
    combined(try each(files))
  }

  /// The digest of each of several files, with its name.
  static func each(_ files: [String]) throws -> [(name: String, sha256: String)] {
    try files.map { (name: name($0), sha256: try sha256(file: $0)) }
  }

  /// The digest of several files from theirs.
  static func combined(_ files: [(name: String, sha256: String)]) -> String {
    var digest = DigestBuilder()
    for file in files.sorted(by: { utf8Ascending($0.name, $1.name) }) {
      digest.update("\(file.sha256)  \(file.name)\n")
    }
    return digest.finish()
  }

  private static func name(_ path: String) -> String { (path as NSString).lastPathComponent }
}
