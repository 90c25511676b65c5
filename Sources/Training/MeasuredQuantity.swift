import WireProtocol

/// What is looked at before training, over steps in which nothing is updated.
package enum MeasuredQuantity: String, Sendable, CaseIterable {
  /// How large the gradients of each module are, for `tier_assignment_strategy: parameter_importance`.
  case importance
  /// The cross entropy of every trained token of the data, for `loss: flow` and `stm`.
  case tokenLosses = "token losses"
  /// Sums over rows of the squares of their gradients, for `ewc_lambda`.
  case squaredGradients = "squared gradients"
  /// Texts that the base model writes itself, for `replay: self`.
  case texts

  /// What workers are asked for in place of gradients.
  package var measure: Measure? {
    switch self {
    case .importance: nil
    case .tokenLosses: .tokenLosses
    case .squaredGradients: .squaredGradients
    case .texts: .sampledTexts
    }
  }
}

/// What a measurement has come to.
package enum MeasuredValues: Sendable, Equatable {
  /// By module, the mean over steps of ‖g‖₂/√elements, g the mean gradient of a step's tokens.
  case importance([String: Double])
  /// Of the trained tokens of all rows, in their order.
  case tokenLosses([Float])
  /// By parameter.
  case squaredGradients([String: [Float]])
  /// Their ids, beginnings and ends included.
  case texts([[Int32]])
}
