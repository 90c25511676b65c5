import ChatTemplate
import Files
import Foundation
import Harness
import JSON
import LanguageModel
import NestedLearning
import Testing

@testable import Dataset

/// The reference is Fixtures/make_rows.py: transformers' chat templates and the offsets of the PyPI package tokenizers,
/// with the definitions of spans written out once more.
@Suite struct GoldenRowTests {
  private static var fixture: JSONValue {
    get throws {
      let path = FileSystem.folder(of: #filePath) + "/Fixtures/rows.json"
      return try JSONValue(parsing: try AtomicFile.read(path))
    }
  }

  /// A model folder without a model: a tokenizer with the tokens that a case adds, and its template.
  private func folder(_ item: JSONValue, _ scratch: Scratch) throws -> String {
    let name = try #require(item["tokenizer"]?.string)
    try FileManager.default.createDirectory(atPath: scratch.path("model"), withIntermediateDirectories: true)
    let own = item["json"]?.object
    var tokenizer = try #require(
      try own
        ?? JSONValue(parsing: try AtomicFile.read(Fixtures.path("tokenizers/\(name)/tokenizer.json"))).object)
    let added = try #require(item["added"]?.array).map { token -> JSONValue in
      [
        "id": token["id"] ?? .null, "content": token["content"] ?? .null, "single_word": false,
        "lstrip": false,
        "rstrip": false, "normalized": false, "special": true,
      ]
    }
    tokenizer["added_tokens"] = .array((tokenizer["added_tokens"]?.array ?? []) + added)
    try scratch.write("model/tokenizer.json", JSONValue.object(tokenizer).text)
    let settings: JSONValue = [
      "eos_token": "<eot>", "bos_token": "<eot>", "chat_template": item["template"] ?? .null,
    ]
    try scratch.write("model/tokenizer_config.json", settings.text)
    try scratch.write("model/generation_config.json", #"{"eos_token_id": [\#(added[0]["id"]?.int ?? 0)]}"#)
    return scratch.path("model")
  }

  @Test(arguments: 0..<6) func idsAndSpans(number: Int) throws {
    let item = try #require(try Self.fixture.array)[number]
    let scratch = try Scratch()
    let folder = try folder(item, scratch)
    let rows = try #require(item["rows"]?.array)
    let file = try scratch.write("rows.jsonl", rows.map { ($0["row"] ?? .null).text + "\n" }.joined())
    let tokenizer = try Tokenizer(modelFolder: folder)
    let date = try #require(TemplateDate(year: 2026, month: 11, day: 29))
    let encoder = RowEncoder(encoder: tokenizer, template: (folder, date))
    for (row, expected) in zip(try encoded(file, encoder), rows) {
      let ids = try #require(expected["ids"]?.string).split(separator: " ").compactMap { Int32($0) }
      let spans = try #require(expected["trained"]?.array).map { span in
        (span.array?[0].int ?? 0)..<(span.array?[1].int ?? 0)
      }
      let shown = expected["row"]?.text ?? ""
      #expect(row.row.ids == ids, "\(shown)")
      #expect(row.row.marked == TokenRow(ids: ids, trained: spans).marked, "\(shown)")
      #expect(row.missingTurns == expected["missing"]?.int, "\(shown)")
    }
    // train_on all: the same ids, a loss on all of them.
    let all = try encoded(file, RowEncoder(encoder: tokenizer, template: (folder, date), trainOn: .all))
    #expect(all.map(\.row.ids) == (try encoded(file, encoder)).map(\.row.ids))
    #expect(all.allSatisfy { $0.row.marked == $0.row.ids })
  }

  private func encoded(_ file: String, _ encoder: RowEncoder) throws -> [EncodedRow] {
    var rows: [EncodedRow] = []
    try DataFile(path: file).forEachRow { row in
      let kind = try #require(RowKind(of: row.object))
      rows.append(try encoder.encode(try RowReader(row: row.object).content(kind)))
    }
    return rows
  }
}
