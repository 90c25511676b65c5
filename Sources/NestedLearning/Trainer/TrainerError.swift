/// Why a step cannot be applied, or a state cannot be made. Nothing was changed.
public enum TrainerError: Error, Sendable, Equatable, CustomStringConvertible {
  /// A gradient has an infinite element, or one that is not a number.
  case notFinite(name: String)
  /// A gradient that is missing, not asked for, or of the wrong size.
  case gradients(name: String, String)
  /// A parameter that is missing, unknown, of the wrong size, or not finite.
  case parameter(name: String, String)
  case step(Int, expected: Int)
  case noTrainedTokens(step: Int)
  /// A snapshot that does not fit the config, or is damaged.
  case snapshot(String)

  public var description: String {
    switch self {
    case .notFinite(let name):
      "the gradient of \(name) is not finite; a lower learning_rate or max_grad_norm may help"
    case .gradients(let name, let reason): "the gradient of \(name) \(reason)"
    case .parameter(let name, let reason): "the parameter \(name) \(reason)"
    case .step(let step, let expected): "step \(step) came where step \(expected) was due"
    case .noTrainedTokens(let step): "step \(step) has no trained token"
    case .snapshot(let reason): "the snapshot \(reason)"
    }
  }
}
