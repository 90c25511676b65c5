import JSON
import NestedLearning
import Testing

@testable import Dataset

@Suite struct RowKindTests {
  private func read(
    _ lines: [String], trainOn: TrainOn = .completions, maxLength: Int = 400, longRows: LongRows = .cut,
    skip: Bool = false, collects: Bool = false
  ) throws -> TokenRows {
    try withFile(lines.joined(separator: "\n") + "\n") { path in
      var options = RowOptions(maxLength: maxLength, longRows: longRows, skipUnusable: skip)
      options.collectsFaults = collects
      return try TokenRows(
        file: path, encoder: RowEncoder(encoder: ByteEncoder(), template: nil, trainOn: trainOn),
        options: options)
    }
  }

  private func failure(_ line: String) -> String {
    do {
      return "no error but \(try read([line]).rows.map(\.ids))"
    } catch let error as DataError {
      return String(error.description.dropFirst(error.file.count))
    } catch {
      return "another error: \(error)"
    }
  }

  /// Each row is decided by itself; null is no key; a text beside other keys is their rendering.
  @Test func kindsAreDecidedRowByRow() throws {
    let rows = try read([
      #"{"text": "ab"}"#, #"{"prompt": "a", "completion": "b", "text": "x"}"#,
      #"{"messages": null, "text": "c", "prompt": null}"#,
      #"{"instruction": "i", "input": "", "output": "o"}"#,
      #"{"instruction": "i", "input": "n", "output": "o", "text": "…"}"#, #"{"text": "d", "prompt": "x"}"#,
    ])
    #expect(rows.report.kinds == [.text: 3, .completion: 1, .alpaca: 2])
    #expect(rows.report.firstRows == [.text: 0, .completion: 1, .alpaca: 3])
    #expect(rows.rows.map(\.trainedCount) == [2, 2, 1, 2, 2, 1])
    let alpaca = rows.rows.suffix(3).prefix(2).map { row in
      String(decoding: row.ids.dropLast().map { UInt8($0) }, as: UTF8.self)
    }
    #expect(
      alpaca == [
        "Below is an instruction that describes a task. Write a response that appropriately completes the request."
          + "\n\n### Instruction:\ni\n\n### Response:o",
        "Below is an instruction that describes a task, paired with an input that provides further context. Write a "
          + "response that appropriately completes the request.\n\n### Instruction:\ni\n\n### Input:\nn\n\n### Response:o",
      ])
  }

  /// Tables have lists as text.
  @Test func listsMayBeText() throws {
    let row = try JSONValue(parsing: #"{"messages": "[{\"role\": \"user\"}]", "tools": " "}"#)
    guard
      case .conversation(let messages, nil, 0) = try RowReader(row: #require(row.object)).content(.messages)
    else {
      Issue.record("no conversation")
      return
    }
    #expect(messages == [["role": "user"]])
  }

  @Test func trainOnAllTrainsOnPrompts() throws {
    let line = #"{"prompt": "abc", "completion": "de"}"#
    #expect(try read([line]).rows[0].marked == [~97, ~98, ~99, 100, 101, 256])
    let all = try read([line], trainOn: .all)
    #expect(all.rows[0].marked == [97, 98, 99, 100, 101, 256])
    #expect(all.report.trainedTokens == 5 && all.report.tokens == 6)
  }

  @Test(arguments: [
    (
      #"{"prompt": "a", "completion": ["b"]}"#,
      ":1: prompt: is a string, and completion is a list; give two strings, or two lists of messages"
    ),
    (#"{"messages": "hi"}"#, ":1: messages: must be a list, not a string"),
    (
      #"{"messages": [{"content": "hi"}]}"#,
      ":1: messages[0].role: must be a string; a message has a role and a content"
    ),
    (#"{"messages": [7]}"#, ":1: messages[0]: must be an object, not a number"),
    (
      #"{"conversations": [{"from": "martian", "value": "hi"}]}"#,
      #":1: conversations[0].from: "martian" is not known; known are assistant, bot, chatgpt, function_call, "#
        + "function_response, gpt, human, model, observation, system, tool, user"
    ),
    (#"{"conversations": [{"from": "gpt"}]}"#, ":1: conversations[0].value: must be a string, not null"),
    (
      #"{"conversations": [{"value": "x"}]}"#,
      ":1: conversations[0]: has neither from nor role; a turn has from and value"
    ),
    (
      #"{"messages": [], "tools": 7}"#,
      ":1: tools: must be a list, not a number"
    ),
    (#"{"instruction": 1, "output": "x"}"#, ":1: instruction: must be a string, not a number"),
    (
      #"{"question": "a", "answer": "b"}"#,
      ":1: is no kind of row: it has the keys question, answer; \(RowKind.remedy)"
    ),
    (
      #"{"messages": [{"role": "user", "content": "x"}]}"#,
      ":1: messages: cannot be encoded: a conversation needs a chat template, and the model has none "
        + "(chat_template.jinja, or chat_template in tokenizer_config.json); take them from the model's instruct "
        + "version, or give rows with prompt and completion as strings"
    ),
  ])
  func eachWrongRowIsNamed(line: String, message: String) {
    #expect(failure(line) == message)
  }

  /// A row whose completion is cut away, and a part of a split row that is prompt alone.
  @Test func rowsWithoutATrainedTokenAreCounted() throws {
    let long = #"{"prompt": "abcdefgh", "completion": "ijk"}"#
    let lines = [#"{"text": "ab"}"#, long]
    let error = #expect(throws: DataError.self) { try read(lines, maxLength: 6) }
    #expect(error?.line == 2)
    #expect(
      error?.reason == "has its trained tokens after the first 6 (max_seq_length), where it is cut")
    let cut = try read(lines, maxLength: 6, skip: true)
    #expect(cut.rows.count == 1 && cut.report.skippedCount == 1 && cut.report.skipped[0].lines.first == [2])
    let split = try read(lines, maxLength: 6, longRows: .split)
    #expect(split.rows.map(\.marked) == [[97, 98, 256], [~103, ~104, 105, 106, 107, 256]])
    #expect(split.report.long.parts == 1 && split.report.long.tokensLeftOut == 6)
    let other = try read(lines, maxLength: 4, longRows: .split)
    #expect(other.rows.map(\.marked) == [[97, 98, 256], [105, 106, 107, 256]])
  }

  /// To show all that is wrong, `data inspect` goes on.
  @Test func faultsAreCollectedIfAsked() throws {
    let rows = try read(
      [#"{"text": "ab"}"#, "{", #"{"x": 1}"#, #"{"text": 7}"#, #"{"x": 2}"#, #"{"text": ""}"#], collects: true
    )
    #expect(rows.rows.count == 1)
    #expect(
      rows.report.skipped.map(\.lines.first) == [[2], [3, 5], [4], [6]], "\(rows.report.skipped)")
    #expect(
      RowReport(json: rows.report.json, file: rows.file, options: RowOptions(maxLength: 400)) == rows.report)
  }

  /// Equal rows are found by what they become, before they are cut.
  @Test func duplicatesAreFound() throws {
    let lines = ["ab", "cd", "ab", "abcdefg", "abcdefh", "cd", "ab"].map { "{\"text\": \"\($0)\"}" }
    let report = try read(lines + [#"{"prompt": "a", "completion": "b"}"#], maxLength: 5).report
    #expect(report.duplicates.count == 3)
    #expect(report.duplicates.groups == [[1, 3, 7], [2, 6]])
    #expect(
      report.lengths.counts == [0, 0, 6, 0, 2] && report.lengths.longest.map(\.line) == [4, 5, 1, 2, 3])
  }
}
