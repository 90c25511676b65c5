import Foundation
import LanguageModel
import Testing

/// A folder that is gone when the test is over.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = FileManager.default.temporaryDirectory.path + "/nl-test-" + UUID().uuidString
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  /// Writes a file and returns its path.
  @discardableResult
  func write(_ name: String, _ bytes: some Sequence<UInt8>) throws -> String {
    let file = path + "/" + name
    let folder = (file as NSString).deletingLastPathComponent
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    try Data(bytes).write(to: URL(fileURLWithPath: file))
    return file
  }

  @discardableResult
  func write(_ name: String, _ text: String) throws -> String { try write(name, text.utf8) }

  func bytes(_ name: String) throws -> [UInt8] {
    [UInt8](try Data(contentsOf: URL(fileURLWithPath: path + "/" + name)))
  }
}

/// A file beside the tests, in the folder Fixtures.
func fixture(_ name: String) -> String {
  (#filePath as NSString).deletingLastPathComponent + "/Fixtures/" + name
}

/// Runs `body`, which must fail with a ``ModelError`` whose text holds each of `parts`.
func expectError(
  _ parts: String..., sourceLocation: SourceLocation = #_sourceLocation, _ body: () throws -> Void
) {
  let error = #expect(throws: ModelError.self, sourceLocation: sourceLocation) { try body() }
  guard let error else { return }
  for part in parts {
    #expect(error.description.contains(part), "\"\(error)\"", sourceLocation: sourceLocation)
  }
}

/// SplitMix64 (Steele, Lea, Flood 2014): the k-th number of a stream that is a function of the seed alone.
struct SplitMix64 {
  var state: UInt64

  init(seed: UInt64) { state = seed }

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }

  /// In [0, bound), by the remainder.
  mutating func next(below bound: Int) -> Int { Int(next() % UInt64(bound)) }
}
