import Foundation
import Testing

/// Every input that the fuzzer began with (`seed-…`) or that it found (`found-…`), through the check that it was found
/// with: no trap, and nothing that the check calls wrong.
@Suite struct CorpusTests {
  private static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Corpus")

  static func inputs(of target: FuzzTarget) throws -> [URL] {
    try FileManager.default.contentsOfDirectory(
      at: folder.appending(path: target.name), includingPropertiesForKeys: nil
    ).sorted { $0.lastPathComponent < $1.lastPathComponent }
  }

  @Test(arguments: FuzzTarget.all.map(\.name)) func everyInput(target name: String) throws {
    let target = try #require(FuzzTarget.named(name))
    let inputs = try Self.inputs(of: target)
    #expect(!inputs.isEmpty)
    for input in inputs {
      let fault = target.fault(Array(try Data(contentsOf: input)))
      #expect(fault == nil, "\(name)/\(input.lastPathComponent)")
    }
  }

  /// A folder without a target would never be read.
  @Test func everyFolderIsATarget() throws {
    let names = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
    #expect(Set(names) == Set(FuzzTarget.all.map(\.name)))
  }
}
