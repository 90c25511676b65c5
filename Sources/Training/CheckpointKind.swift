/// What a checkpoint is kept for.
public enum CheckpointKind: Sendable, Equatable {
  /// The lowest validation loss so far.
  case best
  /// What the run ended with, or was stopped with.
  case final
  /// What the run ended with, at the smallest scale of the adapter whose validation loss holds (`select_scale`).
  case scaled(Double)
  /// The state after a step.
  case step(Int)

  /// The folder's name, as in `checkpoint_0000100`.
  public var name: String {
    switch self {
    case .best: "best"
    case .final: "final"
    case .scaled: "scaled"
    case .step(let step):
      "checkpoint_" + String(repeating: "0", count: max(0, 7 - String(step).utf8.count)) + String(step)
    }
  }

  /// What the adapter's scale is multiplied by.
  public var scale: Double {
    if case .scaled(let scale) = self { scale } else { 1 }
  }
}
