import Dispatch
import Files
import JSON
import NestedLearning

/// Encodes the rows of one file, in groups, each group on all cores.
struct FileEncoding {
  let file: String
  let encoder: RowEncoder
  let options: RowOptions
  let progress: ((TokenizingProgress) -> Void)?

  private static let groupRows = 4096
  private static let groupBytes = 4 << 20

  private struct Encoded: Sendable {
    let kind: RowKind
    let row: EncodedRow
    let hash: UInt64
  }

  /// - Parameter checkRoom: is given a guess of the bytes that all rows will take on the disk, once the first group tells;
  ///   nil if they are not written.
  func rows<Sink: TokenSink>(
    into sink: Sink, checkRoom: ((Int) throws -> Void)? = nil
  ) throws -> (sink: Sink, report: RowReport) {
    var taker = RowTaker(file: file, options: options, sink: sink)
    var (waiting, waitingBytes, lastRead, isFirst) = ([DataFile.Record](), 0, 0, true)
    let size = FileSystem.size(file) ?? 0
    func flush() throws {
      for (record, encoded) in zip(waiting, encoded(waiting)) { try take(encoded, record.line, &taker) }
      waiting.removeAll(keepingCapacity: true)
      waitingBytes = 0
      let all = Self.diskBytes(taker.report, share: Double(lastRead) / Double(max(size, lastRead, 1)))
      if isFirst { try checkRoom?(all) }
      isFirst = false
      progress?(
        TokenizingProgress(
          file: file, bytes: lastRead, totalBytes: size, rows: taker.report.rows,
          tokens: taker.report.tokens, diskBytes: checkRoom == nil ? nil : all))
    }
    try DataFile(path: file).forEachRecord { record, bytesRead in
      waiting.append(record)
      waitingBytes += record.size
      lastRead = bytesRead
      if waiting.count >= Self.groupRows || waitingBytes >= Self.groupBytes { try flush() }
    }
    try flush()
    return (taker.sink, try taker.finished(decode: encoder.encoder.decode))
  }

  /// What all rows will take, if those that were counted are a share of them.
  private static func diskBytes(_ report: RowReport, share: Double) -> Int {
    let entry = MemoryLayout<TokenTable.Entry>.stride
    return Int(min(Double(report.tokens * 4 + report.rows * entry) / max(share, 1e-9), 1e18))
  }

  private func take<Sink>(
    _ encoded: Result<Encoded, DataError>, _ line: Int, _ taker: inout RowTaker<Sink>
  ) throws {
    switch encoded {
    case .success(let encoded):
      try taker.take(encoded.row, kind: encoded.kind, line: line, hash: encoded.hash)
    case .failure(let error):
      guard options.collectsFaults else { throw error }
      taker.report.skip([error.key, error.reason].compactMap(\.self).joined(separator: ": "), line: line)
    }
  }

  /// What becomes of records, in their order.
  private func encoded(_ records: [DataFile.Record]) -> [Result<Encoded, DataError>] {
    [Result<Encoded, DataError>](unsafeUninitializedCapacity: records.count) { out, count in
      // Each part writes its own elements, and all are written before the call returns.
      nonisolated(unsafe) let out = out
      nonisolated(unsafe) let encoding = self
      let partRows = 32
      DispatchQueue.concurrentPerform(iterations: (records.count + partRows - 1) / partRows) { part in
        for i in (part * partRows)..<min(records.count, (part + 1) * partRows) {
          let result = Result { () throws(DataError) in try encoding.encode(records[i]) }
          out.initializeElement(at: i, to: result)
        }
      }
      count = records.count
    }
  }

  private func encode(_ record: DataFile.Record) throws(DataError) -> Encoded {
    let row = try DataFile(path: file).row(of: record)
    guard let kind = encoder.tasks.isEmpty ? RowKind(of: row.object) : .task else {
      let keys = row.object.members.prefix(8).map(\.key).joined(separator: ", ")
      throw DataError(
        file: file, line: row.line,
        reason: "is no kind of row: " + (keys.isEmpty ? "it has no keys" : "it has the keys \(keys)"),
        remedy: RowKind.remedy)
    }
    do {
      let content =
        try kind == .task
        ? .task(
          TaskRowReader(row: row.object, tasks: encoder.tasks, mayLackLabel: options.keepsUnlabelled)
            .content())
        : RowReader(row: row.object).content(kind)
      let encoded = try encoder.encode(content)
      return Encoded(kind: kind, row: encoded, hash: encoded.row.hash)
    } catch let fault as RowReader.Fault {
      throw DataError(
        file: file, line: row.line, key: fault.key, reason: fault.reason, remedy: fault.remedy)
    } catch {
      throw DataError(
        file: file, line: row.line, key: kind.keys.first, reason: "cannot be encoded: \(error)")
    }
  }
}

/// Decides what becomes of each row, and counts it.
private struct RowTaker<Sink: TokenSink> {
  let options: RowOptions
  var sink: Sink
  var report: RowReport
  /// The first row that was left out.
  private var sample: TokenRow?

  init(file: String, options: RowOptions, sink: Sink) {
    self.options = options
    self.sink = sink
    report = RowReport(file: file, rule: options.longRows, maxLength: options.maxLength)
  }

  mutating func take(_ encoded: EncodedRow, kind: RowKind, line: Int, hash: UInt64) throws {
    let row = encoded.row
    report.kinds[kind, default: 0] += 1
    report.lengths.add(row.count, line: line)
    if encoded.isConversation { report.conversations += 1 }
    for _ in 0..<encoded.missingTurns { report.missingTurns.add(line) }
    let most = options.maxLength
    guard row.count > most else { return try keep([row], of: row, kind, line, hash) }
    switch options.longRows {
    case .cut:
      report.long.count(line: line, tokens: row.count, parts: 0, leftOut: row.count - most)
      try keep([row.prefix(most)], of: row, kind, line, hash)
    case .split:
      // Every part begins anew at position 0; the EOS ends the last. One without a token to predict is left out.
      let parts = row.parts(of: most).filter { $0.trainedCount > 0 }
      let tokens = parts.reduce(0) { $0 + $1.count }
      report.long.count(line: line, tokens: row.count, parts: parts.count, leftOut: row.count - tokens)
      try keep(parts, of: row, kind, line, hash)
    case .error:
      report.long.count(line: line, tokens: row.count, parts: 0, leftOut: row.count)
      try refuse(
        kind, line, "has \(row.count) tokens, more than \(most) (max_seq_length)",
        "set long_rows to cut or split, or raise max_seq_length", skips: false)
    }
  }

  /// Keeps what a row of the file has become.
  private mutating func keep(
    _ rows: [TokenRow], of whole: TokenRow, _ kind: RowKind, _ line: Int, _ hash: UInt64
  ) throws {
    let isUnlabelled =
      options.keepsUnlabelled && whole.task != nil && whole.trainedCount == 0 && whole.count > 0
    guard isUnlabelled || rows.contains(where: { $0.trainedCount > 0 }) else {
      sample = sample ?? whole
      return try refuse(
        kind, line, reason(whole), "remove the row, or set skip_unusable_rows to true",
        skips: options.skipUnusable)
    }
    for (index, row) in rows.enumerated() {
      report.keep(row, kind: kind)
      try sink.append(row, line: line, hash: index == 0 ? hash : 0)
    }
  }

  private func reason(_ row: TokenRow) -> String {
    if row.count < 2 {
      return "gives \(row.count) token\(row.count == 1 ? "" : "s"), so there is none to predict"
    }
    return row.trainedCount == 0
      ? "has no token that is trained on (train_on: completions)"
      : "has its trained tokens after the first \(options.maxLength) (max_seq_length), where it is cut"
  }

  private mutating func refuse(
    _ kind: RowKind, _ line: Int, _ reason: String, _ remedy: String, skips: Bool
  ) throws(DataError) {
    let key = kind.keys.last ?? ""
    if skips || options.collectsFaults {
      report.skip("\(key): \(reason)", line: line)
    } else {
      throw DataError(file: report.file, line: line, key: key, reason: reason, remedy: remedy)
    }
  }

  func finished(decode: ([Int32], Bool) -> String) throws(DataError) -> RowReport {
    guard report.rows == 0, !options.collectsFaults else { return report }
    let text = sample.map { decode(Array($0.ids.prefix(60)), false) } ?? ""
    let reasons = report.skipped.map { "\($0.lines.count) skipped, \($0.reason)" }.joined(separator: "; ")
    throw DataError(
      file: report.file,
      reason: "no row has a token to predict (\(reasons)); the first begins \(JSONValue.string(text).text)",
      remedy: "give rows with text")
  }
}
