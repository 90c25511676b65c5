import NestedLearning

/// What a row asks of a model, and the answer that the row has to it.
public struct PromptRow: Sendable, Equatable {
  /// 1-based; that where the row begins.
  public let line: Int
  /// The ids before the answer.
  public let prompt: [Int32]
  /// Its text, without special tokens.
  public let answer: String

  /// Calls `body` for each row of a file, in order: with nil for one that has no prompt and answer, as a plain text.
  ///
  /// Of prompt and completion the completion is the answer; of a conversation the last turn of the assistant, and all before
  /// it is the prompt.
  ///
  /// - Throws: `DataError` for a row that cannot be read, and what `body` throws.
  public static func forEach(
    in file: String, encoder: RowEncoder, _ body: (PromptRow?) throws -> Void
  ) throws {
    try DataFile(path: file).forEachRow { row in try body(try PromptRow(row, file: file, encoder: encoder)) }
  }

  private init?(_ row: DataFile.Row, file: String, encoder: RowEncoder) throws {
    guard let kind = RowKind(of: row.object) else { return nil }
    do {
      let content = try RowReader(row: row.object).content(kind)
      guard let question = try encoder.question(content), !question.prompt.isEmpty else { return nil }
      (line, prompt, answer) = (row.line, question.prompt, question.answer)
    } catch let fault as RowReader.Fault {
      throw DataError(
        file: file, line: row.line, key: fault.key, reason: fault.reason, remedy: fault.remedy)
    } catch {
      throw DataError(
        file: file, line: row.line, key: kind.keys.first, reason: "cannot be encoded: \(error)")
    }
  }
}
