import JSON
import LanguageModel

/// A row whose label is to be predicted.
public struct TaskPrompt: Sendable, Equatable {
  /// 1-based; that where the row begins; 0 of a text that is no row.
  public let line: Int
  /// The number of its task.
  public let task: Int
  /// Its text, or its words with a space between them.
  public let text: String
  public let ids: [Int32]
  /// Of token classification: the words, and the place of each one's last token; nil of one that has no token of its own.
  public let words: [(word: String, place: Int?)]

  public static func == (a: TaskPrompt, b: TaskPrompt) -> Bool {
    a.line == b.line && a.task == b.task && a.text == b.text && a.ids == b.ids
      && a.words.elementsEqual(b.words) { $0.word == $1.word && $0.place == $1.place }
  }

  /// A text by itself, for one of the encoder's tasks; of token classification the words are what lies between white space.
  public init(text: String, task: Int, encoder: RowEncoder) throws {
    switch encoder.tasks[task].kind {
    case .classification: try self.init(.init(task: task, form: .classified(text, label: nil)), 0, encoder)
    case .languageModeling: try self.init(.init(task: task, form: .text(text)), 0, encoder)
    case .tokenClassification:
      let words = text.split(whereSeparator: \.isWhitespace).map(String.init)
      try self.init(.init(task: task, form: .words(words, labels: words.map { _ in nil })), 0, encoder)
    }
  }

  /// Calls `body` for each row of a file of the encoder's tasks, in order; labels are not looked at.
  ///
  /// - Throws: `DataError` for a row that cannot be read, and what `body` throws.
  public static func forEach(
    in file: String, encoder: RowEncoder, _ body: (TaskPrompt) throws -> Void
  ) throws {
    try DataFile(path: file).forEachRow { row in
      do {
        let reader = TaskRowReader(row: row.object, tasks: encoder.tasks, needsLabels: false)
        try body(try TaskPrompt(try reader.content(), row.line, encoder))
      } catch let fault as RowReader.Fault {
        throw DataError(
          file: file, line: row.line, key: fault.key, reason: fault.reason, remedy: fault.remedy)
      }
    }
  }

  private init(_ content: TaskContent, _ line: Int, _ encoder: RowEncoder) throws {
    (self.line, task) = (line, content.task)
    switch content.form {
    case .classified(let text, _), .text(let text):
      (self.text, ids, words) = (text, try encoder.encoder.promptIDs(text: text), [])
    case .words(let words, _):
      let (ids, ends) = try encoder.tokens(of: words)
      (text, self.ids) = (words.joined(separator: " "), ids)
      self.words = zip(words, ends).map { ($0, $1) }
    }
  }
}
