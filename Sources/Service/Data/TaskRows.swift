import Dataset
import JSON
import LanguageModel

/// The rows of a task in a file, and how often each of its labels stands there.
public struct TaskRows: Sendable, Equatable {
  public let task: String
  public let rows: Int
  /// Rows, or words, that have a label; of language modelling the tokens that are predicted.
  public let labelled: Int
  /// In the order of the task; empty for language modelling.
  public let labels: [Label]

  public struct Label: Sendable, Equatable {
    public let name: String
    public let count: Int
  }

  /// Those of all tasks, in their order.
  static func count(_ rows: RowSet, of heads: [TaskHead]) -> [TaskRows] {
    guard !heads.isEmpty else { return [] }
    var rowCounts = heads.map { _ in 0 }
    var labels = heads.map { [Int](repeating: 0, count: max(1, $0.labels.count)) }
    for row in rows {
      guard let task = row.task, heads.indices.contains(task) else { continue }
      rowCounts[task] += 1
      for label in row.taskLabels where label != MicroBatch.ignored {
        let place = heads[task].labels.isEmpty ? 0 : Int(label)
        if labels[task].indices.contains(place) { labels[task][place] += 1 }
      }
    }
    return heads.enumerated().map { number, head in
      TaskRows(
        task: head.name, rows: rowCounts[number], labelled: labels[number].reduce(0, +),
        labels: zip(head.labels, labels[number]).map { Label(name: $0, count: $1) })
    }
  }

  /// `topic   12 rows: sea 5, mill 4, town 3`
  var text: String {
    let counts = labels.map { "\($0.name) \($0.count)" }.joined(separator: ", ")
    return "\(task)  \(rows) rows: " + (labels.isEmpty ? "\(labelled) tokens predicted" : counts)
  }

  var json: JSONValue {
    [
      "task": .string(task), "rows": .number(rows), "labelled": .number(labelled),
      "labels": .array(labels.map { ["label": .string($0.name), "count": .number($0.count)] }),
    ]
  }
}
