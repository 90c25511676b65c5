import Foundation

/// A folder for the files of one input; it is gone when this value is.
final class ScratchFolder {
  let path: String

  /// Nil if no folder can be made in `$TMPDIR`, or in /tmp without it.
  init?() {
    let parent = ProcessInfo.processInfo.environment["TMPDIR"] ?? "/tmp"
    var template = Array("\(parent)/nl-fuzz-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { return nil }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file that only its owner can read, and gives its path; nil if that fails.
  func write(_ bytes: [UInt8], to name: String) -> String? {
    let file = "\(path)/\(name)"
    let descriptor = open(file, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0o600)
    guard descriptor >= 0 else { return nil }
    defer { close(descriptor) }
    return Foundation.write(descriptor, bytes, bytes.count) == bytes.count ? file : nil
  }

  /// Runs a check on a file with these bytes. That the file could not be made is a fault of the check.
  static func with(_ bytes: [UInt8], named name: String, _ check: (String) -> String?) -> String? {
    guard let folder = ScratchFolder(), let path = folder.write(bytes, to: name) else {
      return "the scratch file cannot be written"
    }
    return withExtendedLifetime(folder) { check(path) }
  }
}
