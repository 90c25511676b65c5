import Dataset
import NestedLearning
import Training

/// What is to be known before a run can be planned: each is there from earlier, or has to be measured by a run of its own.
struct Measured {
  let config: NestedLearningConfig
  let store: MeasurementStore
  let digests: FileDigests
  let progress: RunPlan.Progress

  /// Of each module; nil if the config does not ask for it.
  func importance() throws -> [String: Double]? {
    guard config.needsImportance, case .importance(let norms) = try values(.importance) else { return nil }
    return norms
  }

  /// Nil if the config does not ask for them.
  func tokenLosses(of rows: RowSet) throws -> StartingLosses? {
    guard config.loss.needsTokenLosses || config.needsConfidence,
      case .tokenLosses(let losses) = try values(.tokenLosses)
    else {
      return nil
    }
    guard let losses = StartingLosses(of: rows, losses: losses) else {
      throw ServiceError(
        "the losses that were measured of \(config.trainDataPath) are not those of its rows",
        remedy: "remove the folder measured beside the token cache, so that they are measured again")
    }
    return losses
  }

  /// Those that the base model has written itself.
  func texts() throws -> [[Int32]] {
    guard case .texts(let texts) = try values(.texts) else { return [] }
    return texts
  }

  /// Sums of squared gradients, by parameter; nil if the config does not ask for them.
  func squares() throws -> [String: [Float]]? {
    guard config.ewcLambda > 0, case .squaredGradients(let squares) = try values(.squaredGradients) else {
      return nil
    }
    return squares
  }

  /// - Throws: `MeasurementNeeded` if nobody has measured it.
  private func values(_ measurement: MeasuredQuantity) throws -> MeasuredValues {
    let plan = try RunPlan(
      config: config.measuring(measurement), progress: progress, measurements: store,
      measurement: measurement,
      digests: digests)
    guard let values = plan.knownValues else { throw MeasurementNeeded(plan: plan) }
    return values
  }
}
