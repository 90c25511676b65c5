import Foundation
import JSON

/// A folder of a test's own, gone when the last holder is.
package final class Scratch: Sendable {
  package let folder: String

  package init() throws {
    folder = NSTemporaryDirectory() + "nl-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: folder) }

  package func path(_ name: String) -> String { folder + "/" + name }

  @discardableResult package func write(_ name: String, _ text: String) throws -> String {
    try Data(text.utf8).write(to: URL(fileURLWithPath: path(name)))
    return path(name)
  }
}

/// What the repository holds for tests.
package enum Fixtures {
  /// The folder that this package's tests are in.
  package static let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .deletingLastPathComponent()
  package static let root = tests.appendingPathComponent("LanguageModelTests/Fixtures").path

  package static func path(_ name: String) -> String { root + "/" + name }

  package static func json(_ name: String) throws -> JSONValue {
    try JSONValue(parsing: Data(contentsOf: URL(fileURLWithPath: path(name))))
  }
}

/// The rows of a JSONL file.
package func rows(_ path: String) throws -> [JSONValue] {
  try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n").map {
    try JSONValue(parsing: String($0))
  }
}
