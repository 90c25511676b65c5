import CZlib
import JSON
import NestedLearning
import Testing

@testable import Dataset

private func read(_ content: [UInt8], skipUnusable: Bool = false) throws -> TokenRows {
  try withFile(content) {
    try TokenRows(file: $0, encoder: ByteEncoder(), maxLength: 6, skipUnusable: skipUnusable)
  }
}

/// The bytes as `gzip` has them.
private func gzipped(_ bytes: [UInt8]) -> [UInt8] {
  var stream = z_stream()
  deflateInit2_(
    &stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size))
  defer { deflateEnd(&stream) }
  var (input, output) = (bytes, [UInt8](repeating: 0, count: bytes.count + 1000))
  let size = output.count
  input.withUnsafeMutableBufferPointer { source in
    output.withUnsafeMutableBufferPointer { target in
      stream.next_in = source.baseAddress
      stream.avail_in = UInt32(source.count)
      stream.next_out = target.baseAddress
      stream.avail_out = UInt32(size)
      deflate(&stream, Z_FINISH)
    }
  }
  return Array(output.prefix(size - Int(stream.avail_out)))
}

/// The error without the file's name, which is random.
private func failure(_ content: [UInt8], skipUnusable: Bool = false) -> String {
  do {
    return "no error but \(try read(content, skipUnusable: skipUnusable).rows.map(\.ids))"
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
    #expect(rows.rows.map(\.ids) == [[97, 98, 256], [0xC3, 0xA9, 256], [97, 98, 99, 100, 101, 102]])
    #expect(rows.skippedLines == [])
  }

  /// The reference is each text encoded by itself. 30,000 rows are more than one group and one piece of file.
  @Test func manyRowsKeepTheirOrder() throws {
    let texts = (0..<30_000).map { String($0 * 7919 % 30_011) + String(repeating: "x", count: $0 % 97) }
    let content = texts.map { "{\"text\": \"\($0)\"}\n" }.joined()
    #expect(content.utf8.count > 1 << 20)
    let rows = try read(Array(content.utf8)).rows
    #expect(rows.map(\.ids) == (try texts.map { try ByteEncoder().trainingIDs(text: $0, maxLength: 6) }))
  }

  /// methods.md: cut keeps the first maxLength ids, without EOS; split makes consecutive rows, EOS on the last only.
  @Test func longRowsAreCutSplitOrRefused() throws {
    let content = Array(
      (["abcde", "abcdef", "abcdefghijk", "abcdefghijkl"].map { "{\"text\": \"\($0)\"}\n" }).joined().utf8)
    func ids(_ text: String, end: Bool = false) -> [Int32] { text.utf8.map(Int32.init) + (end ? [256] : []) }
    func read(_ rule: LongRows) throws -> TokenRows {
      try withFile(content) {
        try TokenRows(file: $0, encoder: ByteEncoder(), maxLength: 6, skipUnusable: false, longRows: rule)
      }
    }
    let cut = try read(.cut)
    #expect(cut.rows.map(\.ids) == [ids("abcde", end: true), ids("abcdef"), ids("abcdef"), ids("abcdef")])
    #expect(cut.long.rows == 3 && cut.long.tokensLeftOut == 1 + 6 + 7 && cut.long.parts == 0)
    #expect(cut.long.longest.map(\.line) == [4, 3, 2] && cut.long.longest.map(\.tokens) == [13, 12, 7])
    #expect(
      cut.long.text?.hasSuffix(
        " are longer than 6 tokens (max_seq_length): cut, 14 tokens left out; the longest: line 4 (13 tokens), "
          + "line 3 (12 tokens), line 2 (7 tokens)") == true)
    let split = try read(.split)
    // Of the second and the last nothing but the EOS is left for a part of its own, in which nothing is predicted.
    #expect(
      split.rows.map(\.ids) == [
        ids("abcde", end: true), ids("abcdef"), ids("abcdef"), ids("ghijk", end: true), ids("abcdef"),
        ids("ghijkl"),
      ])
    #expect(split.long.rows == 3 && split.long.parts == 5 && split.long.tokensLeftOut == 2)
    do {
      _ = try read(.error)
      Issue.record("no error")
    } catch let error as DataError {
      #expect(error.line == 2 && error.reason == "has 7 tokens, more than 6 (max_seq_length)")
    }
  }

  /// Each of these files holds the same two rows.
  @Test(arguments: [
    ("{\"text\": \"a, b\"}\n{\"text\": \"c\\\"\"}\n", [1, 2]),
    ("[\n {\n  \"text\": \"a, b\"\n },\n {\n  \"text\": \"c\\\"\"\n }\n]\n", [2, 5]),
    ("\u{FEFF}[{\"text\": \"a, b\"}, {\"text\": \"c\\\"\", \"tags\": [[1], {\"x\": \"]\"}]}]", [1, 1]),
    ("text\n\"a, b\"\n\"c\"\"\"\n", [2, 3]),
    ("\u{FEFF}id,text\r\n1,\"a, b\"\r\n\r\n2,\"c\"\"\"\r\n", [2, 4]),
    ("\"text\";id\na, b;1\n\"c\"\"\";2", [2, 3]), ("id\ttext\n1\ta, b\n2\tc\"", [2, 3]),
  ])
  func everyFormatIsRead(content: String, lines: [Int]) throws {
    var found: [Int] = []
    for compressed in [false, true] {
      try withFile(compressed ? gzipped(Array(content.utf8)) : Array(content.utf8)) { path in
        found = []
        var texts: [String] = []
        try DataFile(path: path).forEachRow {
          found.append($0.line)
          texts.append($0.object["text"]?.string ?? "")
        }
        #expect(texts == ["a, b", "c\""] && found == lines, "\(texts)")
      }
    }
  }

  /// Lists and tables are read in pieces of 1 MiB: whatever stands across the end of one is read as if it did not.
  @Test func listsAndTablesOfSeveralPieces() throws {
    let texts = (0..<3000).map { number in
      String(repeating: "ab\"\\,\n\u{E9}]", count: number % 97) + "\(number)"
    }
    let list =
      "["
      + texts.map { JSONValue.object(JSONObject([.init(key: "text", value: .string($0))])).text }
      .joined(separator: ",\n") + "]"
    let table = "text\n" + texts.map { "\"" + $0.replacing("\"", with: "\"\"") + "\"\r\n" }.joined()
    func read(_ content: String) throws -> (texts: [String], lines: [Int]) {
      try withFile(Array(content.utf8)) { path in
        var (found, lines): ([String], [Int]) = ([], [])
        try DataFile(path: path).forEachRow {
          found.append($0.object["text"]?.string ?? "")
          lines.append($0.line)
        }
        return (found, lines)
      }
    }
    for shift in 0..<9 {
      let (found, lines) = try read(String(repeating: " ", count: shift) + list)
      #expect(found == texts && lines == Array(1...3000))
      #expect(try read(table + String(repeating: "x", count: shift)).texts.prefix(3000) == texts[...])
    }
    var line = 2
    let expected = texts.map { text in
      defer { line += 1 + text.utf8.count { $0 == 0x0A } }
      return line
    }
    #expect(try read(table).lines == expected)
  }

  /// Two members one after the other, as `cat a.gz b.gz` makes them, and more than one piece of the decompressor.
  @Test func compressedFilesOfSeveralMembersAreRead() throws {
    let row = "{\"text\": \"" + String(repeating: "abc", count: 50_000) + "\"}\n"
    let file =
      gzipped(Array(String(repeating: row, count: 20).utf8)) + gzipped(Array("{\"text\": \"z\"}".utf8))
    let rows = try withFile(file) {
      try TokenRows(file: $0, encoder: ByteEncoder(), maxLength: 4, skipUnusable: false).rows
    }
    #expect(rows.count == 21 && rows.last?.ids == [122, 256])
    for (broken, reason) in [
      (Array(file.dropLast(9)), "is compressed by gzip and cut off"),
      (file[..<20] + [1, 2, 3] + file[23...], "is not sound gzip"),
    ] {
      #expect(failure(Array(broken)).contains(reason), "\(failure(Array(broken)))")
    }
  }

  @Test(arguments: [
    (Array("PAR1xx".utf8), ": is a Parquet file; give JSONL, a JSON list or CSV; gzip is read"),
    ([0xFF, 0xFE, 0x7B, 0x00], ": is text in UTF-16; save it as UTF-8"),
    ([0x7B, 0x00, 0x22, 0x00, 0x74, 0x00], ": is text in UTF-16; save it as UTF-8"),
    ([0x00, 0x7B, 0x00, 0x22, 0x00, 0x74], ": is text in UTF-16; save it as UTF-8"),
    (
      [0x28, 0xB5, 0x2F, 0xFD, 0x00], ": is compressed by zstd; give JSONL, a JSON list or CSV; gzip is read"
    ),
    (
      Array("[{\"text\": \"a\"}".utf8),
      ":1: not JSON: the list that begins in this file does not end; close it with ], or give one row a line"
    ),
    (
      Array("[\n{\"text\": \"a\"},\n{\"text\":\n}]".utf8),
      ":4: not JSON: unexpected '}' where a value was expected (column 1)"
    ),
    (
      Array("[{\"text\": \"a\"}]\nx".utf8),
      ":2: not JSON: something stands after the end of the list; a file has one list, or one row a line"
    ),
    (Array("[{\"text\": \"a\"},,{\"text\": \"b\"}]".utf8), ":1: not JSON: an element is missing"),
    (Array("[{\"text\": \"a\"}, 7]".utf8), ":1: must be an object, not a number"),
    (Array("[]".utf8), ": has no rows; give it one {\"text\": …} a line"),
    (
      Array("id,text\n1,a,b\n".utf8),
      ":2: has 3 fields, but the header has 2; put a field that holds the separator, a quote or a line end in quotes"
    ),
    (Array("text\n\"a\n".utf8), ":2: a quote that opens a field is not closed"),
    (Array("text,text\na,b\n".utf8), ":1: the header names \"text\" twice"),
  ])
  func whatCannotBeReadIsNamed(content: [UInt8], message: String) {
    #expect(failure(content) == message)
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
      ":3: is no kind of row: it has the keys txt, id; \(RowKind.remedy)"
    ),
    ("{}\n", ":1: is no kind of row: it has no keys; \(RowKind.remedy)"),
    ("{\"text\": \"a\"}\n{\"text\": [\"b\"]}", ":2: text: must be a string, not a list"),
    ("{\"text\": null}", ":1: is no kind of row: it has the keys text; \(RowKind.remedy)"),
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
    #expect(rows.rows.map(\.ids) == [[97, 256]])
    #expect(rows.skippedLines == [1, 4])
    #expect(
      failure(Array("{\"text\": \"\"}\n".utf8), skipUnusable: true)
        == ": no row has a token to predict (1 skipped, text: gives 1 token, so there is none to predict); the first "
        + "begins \"<end>\"; give rows with text")
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
          }, encoder: RowEncoder(encoder: ByteEncoder(), template: nil))
      }
    }
  }

  /// The rule: the last max(1, ⌊rows/10⌋) rows.
  @Test(arguments: [(2, 1), (9, 1), (19, 1), (20, 2), (105, 10)])
  func theLastRowsAreForValidation(rows: Int, kept: Int) throws {
    let data = try data(rows)
    #expect(data.train.count == rows - kept)
    #expect(data.validation.count == kept)
    #expect(data.train.first?.ids == Array("t0".utf8).map(Int32.init) + [256])
    #expect(data.validation.last?.ids == Array("t\(rows - 1)".utf8).map(Int32.init) + [256])
  }

  @Test func aValidationFileLeavesAllRowsToTraining() throws {
    let data = try data(3, validation: 2)
    #expect(data.train.count == 3)
    #expect(data.validation.map { $0.ids.map(Int.init) } == [[118, 48, 256], [118, 49, 256]])
    #expect(data.reports.train.allSatisfy { $0.skipped.isEmpty })
  }

  @Test func skippedRowsAreReportedByFile() throws {
    let data = try data(30, validation: 2, skip: true)
    let reports = data.reports.train + data.reports.validation
    #expect(reports.map { $0.skipped.map(\.lines.first) } == [[[31]], [[3]]])
    #expect(reports[0].file != reports[1].file)
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
    #expect(batches.flatMap { $0.tokens } == data.validation.flatMap { $0.ids })
    #expect(batches.map { $0.trainedTokens } == [4, 4, 2])
  }
}
