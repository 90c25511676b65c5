import WireProtocol

/// Which task an evaluation found to be the worst: the next steps are its own, with `tasks_schedule: worst_first`.
package struct WorstTask: Sendable, Hashable {
  /// After which the evaluation took place.
  package let step: Int
  /// Its number.
  package let task: Int

  package init(step: Int, task: Int) { (self.step, self.task) = (step, task) }

  /// Of some tasks the one with the lowest accuracy, of equals that with the highest mean loss, of equals the first; nil if
  /// none has a label.
  package static func of(_ tasks: [TaskSums]) -> Int? {
    func rank(_ sums: TaskSums) -> (Double, Double) {
      (Double(sums.correct) / Double(sums.places), -sums.loss / Double(sums.places))
    }
    return tasks.indices.filter { tasks[$0].places > 0 }.min { rank(tasks[$0]) < rank(tasks[$1]) }
  }
}
