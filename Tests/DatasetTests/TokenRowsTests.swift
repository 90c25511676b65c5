import Testing

@testable import Dataset

private func read(_ content: [UInt8], skipUnusable: Bool = false) throws -> TokenRows {
  try withFile(content) {
    try TokenRows(file: $0, encoder: ByteEncoder(), maxLength: 6, skipUnusable: skipUnusable)
  }
}

/// The error without the file's name, which is random.
private func failure(_ content: [UInt8], skipUnusable: Bool = false) -> String {
  do {
    return "no error but \(try read(content, skipUnusable: skipUnusable).rows)"
  } catch let error as DataError {
    return String(error.description.dropFirst(error.file.count))
  } catch {
    return "another error: \(error)"
  }
}

@Suite struct TokenRowsTests {
  /// Blank lines, a last line without its end, ends of DOS, a byte-order mark, keys that are not used.
  @Test func rowsAreReadInOrder() throws {
    let rows = try read(
      Array(
        "\u{FEFF}{\"text\": \"ab\", \"id\": 3}\r\n\n \t\r\n{\"id\": [], \"text\": \"\\u00e9\"}\n{\"text\": \"abcdefgh\"}"
          .utf8))
    #expect(rows.rows == [[97, 98, 256], [0xC3, 0xA9, 256], [97, 98, 99, 100, 101, 256]])
    #expect(rows.skippedLines == [])
  }

  /// The reference is each text encoded by itself. 30,000 rows are more than one group and one piece of file.
  @Test func manyRowsKeepTheirOrder() throws {
    let texts = (0..<30_000).map { String($0 * 7919 % 30_011) + String(repeating: "x", count: $0 % 97) }
    let content = texts.map { "{\"text\": \"\($0)\"}\n" }.joined()
    #expect(content.utf8.count > 1 << 20)
    let rows = try read(Array(content.utf8)).rows
    #expect(rows == (try texts.map { try ByteEncoder().trainingIDs(text: $0, maxLength: 6) }))
  }

  /// A line that is longer than one piece of file.
  @Test func longLinesAreRead() throws {
    let text = String(repeating: "long ", count: 600_000)
    let rows = try withFile("{\"text\": \"\(text)\"}\n{\"text\": \"b\"}\n") {
      try TokenRows(file: $0, encoder: ByteEncoder(), maxLength: .max, skipUnusable: false).rows
    }
    #expect(rows.map(\.count) == [3_000_001, 2])
  }

  @Test(arguments: [
    (
      "{\"text\": \"a\"}\n{\"text\": \"b\"\n{\"text\": \"c\"}\n",
      ":2: not JSON: unexpected end of text; ',' or '}' was expected (column 13)"
    ),
    (
      "{\"text\": \"a\"}\n\n{\"txt\": \"b\", \"id\": 1}\n",
      ":3: text: is missing; the row has txt, id; a row is {\"text\": \"…\"}"
    ),
    ("{}\n", ":1: text: is missing; a row is {\"text\": \"…\"}"),
    ("{\"text\": \"a\"}\n{\"text\": [\"b\"]}", ":2: text: must be a string, not a list"),
    ("{\"text\": null}", ":1: text: must be a string, not null"),
    ("[1]\n", ":1: must be an object, not a list"),
    ("", ": has no rows; give it one {\"text\": …} a line"),
    ("\n  \n", ": has no rows; give it one {\"text\": …} a line"),
    (
      "{\"text\": \"a\"}\n{\"text\": \"\"}\n",
      ":2: text: gives 1 token, so there is none to predict; remove the row, or set skip_unusable_rows to true"
    ),
    ("{\"text\": \"a\"}\n{\"text\": \"\\t\"}\n", ":2: text: cannot be encoded: it has a tab"),
  ])
  func eachWrongRowIsNamed(content: String, message: String) {
    #expect(failure(Array(content.utf8)) == message)
  }

  @Test func bytesThatAreNotUTF8AreNamed() {
    let content = Array("{\"text\": \"a\"}\n{\"text\": \"".utf8) + [0xFF, 0xFE] + Array("\"}\n".utf8)
    #expect(failure(content) == ":2: not JSON: a string that is not UTF-8 (column 11)")
  }

  @Test func unusableRowsAreSkippedAndCounted() throws {
    let rows = try read(
      Array("{\"text\": \"\"}\n\n{\"text\": \"a\"}\n{\"text\": \"\"}\n".utf8), skipUnusable: true)
    #expect(rows.rows == [[97, 256]])
    #expect(rows.skippedLines == [1, 4])
    #expect(
      failure(Array("{\"text\": \"\"}\n".utf8), skipUnusable: true)
        == ": no row has a token to predict (1 skipped); give rows with text")
  }

  @Test func filesThatCannotBeReadAreNamed() {
    for (path, reason) in [
      ("/no/such/file.jsonl", "cannot be opened: No such file or directory"),
      ("/", "cannot be read: Is a directory"),
    ] {
      #expect(throws: DataError(file: path, reason: reason)) {
        try TokenRows(file: path, encoder: ByteEncoder(), maxLength: 6, skipUnusable: false)
      }
    }
  }
}

@Suite struct TrainingDataTests {
  private func data(_ rowCount: Int, validation: Int? = nil, skip: Bool = false) throws -> TrainingData {
    func rows(_ prefix: String, _ count: Int) -> String {
      (0..<count).map { "{\"text\": \"\(prefix)\($0)\"}\n" }.joined() + (skip ? "{\"text\": \"\"}\n" : "")
    }
    return try withFile(rows("t", rowCount)) { train in
      try withFile(rows("v", validation ?? 1)) { other in
        try TrainingData(
          config: config {
            $0.trainDataPath = train
            $0.valDataPath = validation == nil ? nil : other
            $0.skipUnusableRows = skip
          }, encoder: ByteEncoder())
      }
    }
  }

  /// The rule: the last max(1, ⌊rows/10⌋) rows.
  @Test(arguments: [(2, 1), (9, 1), (19, 1), (20, 2), (105, 10)])
  func theLastRowsAreForValidation(rows: Int, kept: Int) throws {
    let data = try data(rows)
    #expect(data.train.count == rows - kept)
    #expect(data.validation.count == kept)
    #expect(data.train.first == Array("t0".utf8).map(Int32.init) + [256])
    #expect(data.validation.last == Array("t\(rows - 1)".utf8).map(Int32.init) + [256])
  }

  @Test func aValidationFileLeavesAllRowsToTraining() throws {
    let data = try data(3, validation: 2)
    #expect(data.train.count == 3)
    #expect(data.validation.map { $0.map(Int.init) } == [[118, 48, 256], [118, 49, 256]])
    #expect(data.skipped == [])
  }

  @Test func skippedRowsAreReportedByFile() throws {
    let data = try data(30, validation: 2, skip: true)
    #expect(data.skipped.map(\.lines) == [[31], [3]])
    #expect(data.skipped[0].file != data.skipped[1].file)
  }

  @Test func oneRowLeavesNothingToTrainOn() {
    #expect {
      try data(1)
    } throws: {
      "\($0)".hasSuffix(
        ": its only row is kept for validation, and none is left to train on; "
          + "give more rows, or a file for val_data_path")
    }
  }

  @Test func evaluationTakesRowsInFileOrder() throws {
    let data = try data(3, validation: 5)
    let batches = data.evaluationBatches(batchSize: 2)
    #expect(batches.map { $0.offsets } == [[0, 3, 6], [0, 3, 6], [0, 3]])
    #expect(batches.flatMap { $0.tokens } == data.validation.flatMap { $0 })
    #expect(batches.map { $0.trainedTokens } == [4, 4, 2])
  }
}
