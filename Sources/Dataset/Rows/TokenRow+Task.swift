import LanguageModel

// Rows of tasks have labels beside their ids. They stand in `marked` too, so that they are kept as other rows are: first a
// number far below every complement of an id, which says the task, then the ids, then a label for each of them.
extension TokenRow {
  /// What the labels of a task's row are of.
  public enum Labels: Int, Sendable {
    /// Each of its token.
    case tokens
    /// One of the row as a whole, at its last token.
    case row
    /// Each the token that follows.
    case next

    fileprivate static let count = 4
  }

  /// A row of a task.
  ///
  /// - Parameter labels: of each id the number of its label, or `MicroBatch.ignored`.
  public init(ids: [Int32], labels: [Int32], task: Int, of kind: Labels) {
    precondition(ids.count == labels.count && (0..<Self.mostTasks).contains(task))
    self.init(marked: [Int32.min + Int32(Labels.count * task + kind.rawValue)] + ids + labels)
  }

  /// Complements of ids are never as low as the numbers of so many tasks.
  static let mostTasks = 1024

  /// The number of its task; nil of a row by itself.
  public var task: Int? { marked.first.flatMap(Self.task) }

  static func task(_ first: Int32) -> Int? {
    let number = Int(first) - Int(Int32.min)
    return number < Labels.count * mostTasks ? number / Labels.count : nil
  }

  static func length(ofTaskRow count: Int) -> Int { (count - 1) / 2 }

  private var labelKind: Labels {
    marked.first.flatMap { Labels(rawValue: (Int($0) - Int(Int32.min)) % Labels.count) } ?? .tokens
  }

  /// Its first tokens.
  func taskPrefix(_ length: Int, of task: Int) -> TokenRow {
    guard length < count else { return self }
    var labels = Array(taskLabels.prefix(length))
    if let last = labels.indices.last {
      switch labelKind {
      case .tokens: break
      case .row: labels[last] = taskLabels[count - 1]
      // What follows is cut off.
      case .next: labels[last] = MicroBatch.ignored
      }
    }
    return TokenRow(ids: Array(ids.prefix(length)), labels: labels, task: task, of: labelKind)
  }

  /// Of a task's row the label of each id, or `MicroBatch.ignored`.
  public var taskLabels: [Int32] { task == nil ? [] : Array(marked[(1 + count)...]) }
}
