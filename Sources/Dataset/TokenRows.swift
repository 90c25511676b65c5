import Dispatch

/// What makes token ids of the text of a training row.
public protocol TextEncoder: Sendable {
  /// The ids that are trained on: at most `maxLength`, the last of them an EOS.
  func trainingIDs(text: String, maxLength: Int) throws -> [Int32]
}

/// The rows of one data file as token ids.
public struct TokenRows: Sendable, Equatable {
  public let file: String
  /// In file order. Each has two ids or more, so that there is a token to predict.
  public let rows: [[Int32]]
  /// Lines of the rows without a token to predict, which were left out.
  public let skippedLines: [Int]

  /// Reads a file and encodes its rows on all cores.
  ///
  /// - Parameter skipUnusable: leave out rows without a token to predict, instead of refusing them.
  /// - Throws: `DataError` for the first row that cannot be used, or if none can.
  public init(
    file: String, encoder: some TextEncoder, maxLength: Int, skipUnusable: Bool
  ) throws {
    let source = JSONLFile(path: file)
    var reader = RowEncoder(file: file, encoder: encoder, maxLength: maxLength, skipUnusable: skipUnusable)
    try source.forEachRow { try reader.append(line: $0.line, text: source.text(of: $0)) }
    try reader.flush()
    self.file = file
    rows = reader.rows
    skippedLines = reader.skippedLines
    if rows.isEmpty {
      throw DataError(
        file: file, reason: "no row has a token to predict (\(skippedLines.count) skipped)",
        remedy: "give rows with text")
    }
  }
}

/// Encodes texts in groups, each group on all cores.
private struct RowEncoder<Encoder: TextEncoder> {
  let file: String
  let encoder: Encoder
  let maxLength: Int
  let skipUnusable: Bool
  var rows: [[Int32]] = []
  var skippedLines: [Int] = []
  private var waiting: [(line: Int, text: String)] = []
  private var waitingBytes = 0

  init(file: String, encoder: Encoder, maxLength: Int, skipUnusable: Bool) {
    self.file = file
    self.encoder = encoder
    self.maxLength = maxLength
    self.skipUnusable = skipUnusable
  }

  mutating func append(line: Int, text: String) throws {
    waiting.append((line, text))
    waitingBytes += text.utf8.count
    if waiting.count >= 4096 || waitingBytes >= 16 << 20 { try flush() }
  }

  mutating func flush() throws {
    for (row, ids) in zip(waiting, encoded()) {
      try take(try idsOrError(ids, line: row.line), line: row.line)
    }
    waiting.removeAll(keepingCapacity: true)
    waitingBytes = 0
  }

  private func idsOrError(_ ids: Result<[Int32], any Error>, line: Int) throws(DataError) -> [Int32] {
    do {
      return try ids.get()
    } catch {
      throw DataError(file: file, line: line, key: "text", reason: "cannot be encoded: \(error)")
    }
  }

  private mutating func take(_ ids: [Int32], line: Int) throws(DataError) {
    if ids.count >= 2 {
      rows.append(ids)
    } else if skipUnusable {
      skippedLines.append(line)
    } else {
      throw DataError(
        file: file, line: line, key: "text", reason: "gives \(ids.count) token, so there is none to predict",
        remedy: "remove the row, or set skip_unusable_rows to true")
    }
  }

  /// The ids of the waiting texts, in their order.
  private func encoded() -> [Result<[Int32], any Error>] {
    let (texts, encoder, maxLength) = (waiting.map(\.text), encoder, maxLength)
    return [Result<[Int32], any Error>](unsafeUninitializedCapacity: texts.count) { out, count in
      // Each part writes its own elements, and all are written before the call returns.
      nonisolated(unsafe) let out = out
      let parts = (texts.count + 63) / 64
      DispatchQueue.concurrentPerform(iterations: parts) { part in
        for i in (part * 64)..<min(texts.count, part * 64 + 64) {
          let ids = Result { try encoder.trainingIDs(text: texts[i], maxLength: maxLength) }
          out.initializeElement(at: i, to: ids)
        }
      }
      count = texts.count
    }
  }
}
