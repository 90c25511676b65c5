import JSON
import LanguageModel

/// What a row of a task says.
struct TaskContent: Sendable {
  enum Form: Sendable {
    /// The whole text has the label with this number; nil where it is to be predicted.
    case classified(String, label: Int?)
    /// Each word has one, or none.
    case words([String], labels: [Int?])
    case text(String)
  }

  /// Its number.
  let task: Int
  let form: Form
}

/// Reads rows `{"task": …, "text": …, "label": …}`. `task` may be left out where there is but one.
struct TaskRowReader {
  let row: JSONObject
  let tasks: [TaskHead]
  /// Whether rows without a label are none; else they are to be predicted.
  var needsLabels = true
  /// Whether a row that is to be learned from may come without.
  var mayLackLabel = false

  /// Whether the label is to be read.
  private var readsLabel: Bool { needsLabels && !(mayLackLabel && (row["label"] ?? .null).isNull) }

  func content() throws(RowReader.Fault) -> TaskContent {
    let task = try task()
    let head = tasks[task]
    switch head.kind {
    case .classification:
      return TaskContent(
        task: task, form: .classified(try text(), label: readsLabel ? try label(row["label"], head) : nil))
    case .tokenClassification:
      let words = try words()
      return TaskContent(task: task, form: .words(words, labels: try labels(words, head)))
    case .languageModeling: return TaskContent(task: task, form: .text(try text()))
    }
  }

  private var names: String { tasks.map(\.name).joined(separator: ", ") }

  private func task() throws(RowReader.Fault) -> Int {
    guard let value = row["task"], !value.isNull else {
      if tasks.count == 1 { return 0 }
      throw RowReader.Fault(
        key: "task", reason: "is missing, and there are several tasks", remedy: "name one of \(names)")
    }
    guard let task = tasks.firstIndex(where: { $0.name == value.string }) else {
      throw RowReader.Fault(
        key: "task", reason: "\(value.text) is none of the run's tasks", remedy: "name one of \(names)")
    }
    return task
  }

  private func text() throws(RowReader.Fault) -> String {
    let value = row["text"] ?? .null
    guard let text = value.string else {
      throw RowReader.Fault(key: "text", reason: "must be a string, not \(value.kind)")
    }
    return text
  }

  private func words() throws(RowReader.Fault) -> [String] {
    let value = row["text"] ?? .null
    let items = value.array ?? []
    let words = items.compactMap(\.string)
    guard !words.isEmpty, words.count == items.count, !words.contains("") else {
      throw RowReader.Fault(
        key: "text", reason: "must be a list of words, not \(value.kind)",
        remedy: #"give words as in ["Ada", "was", "born", "in", "London"], and as many labels"#)
    }
    return words
  }

  private func labels(_ words: [String], _ head: TaskHead) throws(RowReader.Fault) -> [Int?] {
    guard readsLabel else { return words.map { _ in nil } }
    let value = row["label"] ?? .null
    guard let items = value.array, items.count == words.count else {
      throw RowReader.Fault(
        key: "label",
        reason: "must be a list of \(words.count) labels, one a word, not "
          + (value.array.map { "\($0.count)" } ?? value.kind),
        remedy: "null stands for a word without one")
    }
    var labels: [Int?] = []
    for item in items { labels.append(item.isNull ? nil : try label(item, head)) }
    return labels
  }

  /// By its name, or by its number from 0.
  private func label(_ value: JSONValue?, _ head: TaskHead) throws(RowReader.Fault) -> Int {
    let value = value ?? .null
    if let name = value.string, let label = head.labels.firstIndex(of: name) { return label }
    if let number = value.int ?? value.string.flatMap({ Int($0) }), head.labels.indices.contains(number) {
      return number
    }
    let known = head.labels.prefix(20).joined(separator: ", ") + (head.labels.count > 20 ? ", …" : "")
    throw RowReader.Fault(
      key: "label", reason: "\(value.text) is no label of task \(head.name)",
      remedy: "its labels are \(known), or their numbers from 0")
  }
}

extension RowEncoder {
  /// The row of a task. Texts to classify are as `tokenizer(text)` has them in transformers, without an end of text that the
  /// tokenizer does not add; a text to be modelled ends in one.
  func encode(_ content: TaskContent) throws -> TokenRow {
    switch content.form {
    case .text(let text):
      let ids = try encoder.trainingIDs(text: text, maxLength: .max)
      let labels = ids.isEmpty ? [] : ids.dropFirst() + [MicroBatch.ignored]
      return TokenRow(ids: ids, labels: Array(labels), task: content.task, of: .next)
    case .classified(let text, let label):
      let ids = try encoder.promptIDs(text: text)
      var labels = ids.map { _ in MicroBatch.ignored }
      if let label, !labels.isEmpty { labels[labels.count - 1] = Int32(label) }
      return TokenRow(ids: ids, labels: labels, task: content.task, of: .row)
    case .words(let words, let labels):
      let (ids, ends) = try tokens(of: words)
      var marks = ids.map { _ in MicroBatch.ignored }
      for (end, label) in zip(ends, labels) { if let end, let label { marks[end] = Int32(label) } }
      return TokenRow(ids: ids, labels: marks, task: content.task, of: .tokens)
    }
  }

  /// The ids of words with a space between them, and the place of the last token of each word, where a model that reads from
  /// left to right has seen all of it; nil of a word that has no token of its own.
  func tokens(of words: [String]) throws -> (ids: [Int32], ends: [Int?]) {
    var places: [Int] = []
    var length = 0
    for word in words {
      length += (length > 0 ? 1 : 0) + word.utf8.count
      places.append(length)
    }
    let start = try encoder.promptIDs(text: "")
    let (ids, counts) = try encoder.encode(words.joined(separator: " "), countingBefore: places)
    var last = 0
    let ends = counts.map { count -> Int? in
      defer { last = count }
      return count > last ? start.count + count - 1 : nil
    }
    return (start + ids, ends)
  }
}
