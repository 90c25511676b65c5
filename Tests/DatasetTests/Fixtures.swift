import Foundation
import NestedLearning

@testable import Dataset

/// One id for each byte of UTF-8, then 256 as EOS.
struct ByteEncoder: TextEncoder {
  struct Refusal: Error, CustomStringConvertible { let description = "it has a tab" }

  func trainingIDs(text: String, maxLength: Int) throws -> [Int32] {
    if text.contains("\t") { throw Refusal() }
    return Array((text.utf8.map(Int32.init) + [256]).prefix(maxLength))
  }

  func promptIDs(text: String) throws -> [Int32] { text.utf8.map(Int32.init) }

  func encode(_ text: String, countingBefore places: [Int]) throws -> (ids: [Int32], counts: [Int]) {
    (text.utf8.map(Int32.init), places)
  }

  func decode(_ ids: [Int32], skipSpecialTokens: Bool) -> String {
    ids.map { $0 == 256 ? "<end>" : String(UnicodeScalar(UInt8($0))) }.joined()
  }

  /// `.`
  var turnEndTokenIDs: Set<Int32> { [46] }
}

extension TokenRows {
  init(
    file: String, encoder: ByteEncoder, maxLength: Int, skipUnusable: Bool, longRows: LongRows = .cut
  ) throws {
    try self.init(
      file: file, encoder: RowEncoder(encoder: encoder, template: nil),
      options: RowOptions(maxLength: maxLength, longRows: longRows, skipUnusable: skipUnusable))
  }

  var skippedLines: [Int] { report.skipped.flatMap(\.lines.first) }
}

/// A file that is there while `body` runs.
func withFile<Result>(_ content: [UInt8], _ body: (String) throws -> Result) throws -> Result {
  let path = FileManager.default.temporaryDirectory.appendingPathComponent("\(UUID().uuidString).jsonl").path
  try Foundation.Data(content).write(to: URL(fileURLWithPath: path))
  defer { try? FileManager.default.removeItem(atPath: path) }
  return try body(path)
}

func withFile<Result>(_ content: String, _ body: (String) throws -> Result) throws -> Result {
  try withFile(Array(content.utf8), body)
}

func config(_ change: (inout NestedLearningConfig) -> Void = { _ in }) -> NestedLearningConfig {
  var config = NestedLearningConfig(
    baseModelPath: "/model", trainDataPath: "/train.jsonl", experimentName: "test")
  change(&config)
  return config
}
