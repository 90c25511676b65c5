import NestedLearning

/// Which rows of training are replayed. Row n (from 0, counted over the rows of those steps at which there is replay) is
/// one iff ⌊(n+1)r⌋ > ⌊nr⌋ in Double, with the share r; packs count as rows do. Rows of the task and replayed ones have
/// orders of their own, and each goes on where it was.
struct ReplayMix: Sendable {
  /// r, above 0 and up to 1.
  let share: Double
  /// Steps between those at which there is replay; 1: at each.
  let period: Int
  /// Rows, or packs, of a step.
  let rowsPerStep: Int

  /// A row's turn among those of its kind.
  struct Place: Equatable {
    let isReplayed: Bool
    /// From 0, over the whole run.
    let index: Int
  }

  /// Of the first n rows of steps with replay, those that are replayed.
  func replayed(before n: Int) -> Int { Int((Double(n) * share).rounded(.down)) }

  /// - Parameters:
  ///   - step: 1-based
  ///   - row: from 0, within the step
  func place(step: Int, row: Int) -> Place {
    let mixedBefore = (step - 1) / period * rowsPerStep
    guard step % period == 0 else {
      return Place(
        isReplayed: false, index: (step - 1) * rowsPerStep + row - replayed(before: mixedBefore))
    }
    let n = mixedBefore + row
    let before = replayed(before: n)
    return replayed(before: n + 1) > before
      ? Place(isReplayed: true, index: before)
      : Place(isReplayed: false, index: (step - 1) * rowsPerStep + row - before)
  }

  /// Rows of the task that have been taken once a step is done.
  func taskRows(through step: Int) -> Int {
    step * rowsPerStep - replayed(before: step / period * rowsPerStep)
  }
}
