import LanguageModel

// Rows of tasks have labels beside their ids. They stand in `marked` too, so that they are kept as other rows are: first a
// number far below every complement of an id, which says the task, then the ids, then a label for each of them.
extension TokenRow {
  /// A row of a task.
  ///
  /// - Parameters:
  ///   - labels: of each id the number of its label, or `MicroBatch.ignored`.
  ///   - isPooled: whether the label is that of the row as a whole, at its last token.
  public init(ids: [Int32], labels: [Int32], task: Int, isPooled: Bool) {
    precondition(ids.count == labels.count && (0..<Self.mostTasks).contains(task))
    self.init(marked: [Int32.min + Int32(2 * task + (isPooled ? 1 : 0))] + ids + labels)
  }

  /// Complements of ids are never as low as the numbers of so many tasks.
  static let mostTasks = 1024

  /// The number of its task; nil of a row by itself.
  public var task: Int? { marked.first.flatMap(Self.task) }

  static func task(_ first: Int32) -> Int? {
    let number = Int(first) - Int(Int32.min)
    return number < 2 * mostTasks ? number / 2 : nil
  }

  static func length(ofTaskRow count: Int) -> Int { (count - 1) / 2 }

  /// Whether its label is of the row as a whole.
  var isPooled: Bool { marked.first.map { (Int($0) - Int(Int32.min)) % 2 == 1 } ?? false }

  /// Of a task's row the label of each id, or `MicroBatch.ignored`.
  public var taskLabels: [Int32] { task == nil ? [] : Array(marked[(1 + count)...]) }
}
