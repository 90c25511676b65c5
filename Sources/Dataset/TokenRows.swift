import Dispatch
import NestedLearning

/// What makes token ids of the text of a training row.
public protocol TextEncoder: Sendable {
  /// The first `maxLength` of the ids of a text and the EOS after them.
  func trainingIDs(text: String, maxLength: Int) throws -> [Int32]
}

/// The rows of one data file as token ids.
public struct TokenRows: Sendable, Equatable {
  public let file: String
  /// In file order. Each has two ids or more, so that there is a token to predict.
  public let rows: [[Int32]]
  /// Lines of the rows without a token to predict, which were left out.
  public let skippedLines: [Int]
  /// What became of rows that are too long.
  public let long: LongRowCounts

  /// Reads a file and encodes its rows on all cores.
  ///
  /// - Parameters:
  ///   - skipUnusable: leave out rows without a token to predict, instead of refusing them.
  ///   - longRows: what becomes of rows with more than `maxLength` tokens.
  /// - Throws: `DataError` for the first row that cannot be used, or if none can.
  public init(
    file: String, encoder: some TextEncoder, maxLength: Int, skipUnusable: Bool, longRows: LongRows = .cut
  ) throws {
    let source = DataFile(path: file)
    var reader = RowEncoder(
      file: file, encoder: encoder, skipUnusable: skipUnusable,
      long: LongRowCounts(file: file, rule: longRows, maxLength: maxLength))
    try source.forEachRow { try reader.append(line: $0.line, text: source.text(of: $0)) }
    try reader.flush()
    self.file = file
    rows = reader.rows
    skippedLines = reader.skippedLines
    long = reader.long
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
  let skipUnusable: Bool
  var long: LongRowCounts
  var rows: [[Int32]] = []
  var skippedLines: [Int] = []
  private var waiting: [(line: Int, text: String)] = []
  private var waitingBytes = 0

  init(file: String, encoder: Encoder, skipUnusable: Bool, long: LongRowCounts) {
    self.file = file
    self.encoder = encoder
    self.skipUnusable = skipUnusable
    self.long = long
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
    let most = long.maxLength
    guard ids.count <= most else {
      switch long.rule {
      case .cut:
        rows.append(Array(ids.prefix(most)))
        long.count(line: line, tokens: ids.count, parts: 0, leftOut: ids.count - most)
      case .split: split(ids, line: line)
      case .error:
        throw DataError(
          file: file, line: line, key: "text",
          reason: "has \(ids.count) tokens, more than \(most) (max_seq_length)",
          remedy: "set long_rows to cut or split, or raise max_seq_length")
      }
      return
    }
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

  /// Every part begins anew at position 0; the EOS ends the last. A last part of one token has nothing to predict.
  private mutating func split(_ ids: [Int32], line: Int) {
    let parts = stride(from: 0, to: ids.count, by: long.maxLength).map { start in
      Array(ids[start..<min(ids.count, start + long.maxLength)])
    }
    let kept = parts.filter { $0.count > 1 }
    rows += kept
    long.count(line: line, tokens: ids.count, parts: kept.count, leftOut: parts.count - kept.count)
  }

  /// The ids of the waiting texts, in their order.
  private func encoded() -> [Result<[Int32], any Error>] {
    let (texts, encoder) = (waiting.map(\.text), encoder)
    return [Result<[Int32], any Error>](unsafeUninitializedCapacity: texts.count) { out, count in
      // Each part writes its own elements, and all are written before the call returns.
      nonisolated(unsafe) let out = out
      let parts = (texts.count + 63) / 64
      DispatchQueue.concurrentPerform(iterations: parts) { part in
        for i in (part * 64)..<min(texts.count, part * 64 + 64) {
          let ids = Result { try encoder.trainingIDs(text: texts[i], maxLength: .max) }
          out.initializeElement(at: i, to: ids)
        }
      }
      count = texts.count
    }
  }
}
