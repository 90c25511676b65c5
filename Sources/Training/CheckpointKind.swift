/// What a checkpoint is kept for.
public enum CheckpointKind: Sendable, Equatable {
  /// The lowest validation loss so far.
  case best
  /// What the run ended with, or was stopped with.
  case final
  /// The state after a step.
  case step(Int)

  /// The folder's name, as in `checkpoint_0000100`.
  public var name: String {
    switch self {
    case .best: "best"
    case .final: "final"
    case .step(let step):
      "checkpoint_" + String(repeating: "0", count: max(0, 7 - String(step).utf8.count)) + String(step)
    }
  }
}
