import NestedLearning
import Training

extension NestedLearningConfig {
  /// Whether modules are divided by how large their gradients are.
  var needsImportance: Bool { tierAssignmentStrategy == .parameterImportance && tierMode == .layers }

  /// The config of a run that measures something for this one, and trains nothing. How many steps it has depends on the
  /// data, unless it is importance that is measured.
  func measuring(_ measurement: MeasuredQuantity) -> NestedLearningConfig {
    var config = undivided
    config.experimentName = experimentName + ".measuring"
    config.warmupSteps = 0
    config.verifyFraction = verifyFraction
    switch measurement {
    case .importance:
      config.numSteps = importanceSteps
      (config.batchSize, config.gradientAccumulationSteps) = (batchSize, gradientAccumulationSteps)
      (config.packing, config.shuffle) = (packing, shuffle)
    case .texts:
      (config.batchSize, config.gradientAccumulationSteps) = (32, 8)
      config.selfReplaySamples = selfReplaySamples
      config.selfReplayTokens = selfReplayTokens
      config.selfReplayPrompts = selfReplayPrompts
      config.selfReplayPrompted = selfReplayPrompted
    case .tokenLosses:
      (config.batchSize, config.gradientAccumulationSteps) = (batchSize, 64)
    case .squaredGradients:
      config.ewcRows = ewcRows
      config.batchSize = 1
      config.replay = ewcDataPath == nil ? replay : .data
      config.replayDataPath = ewcDataPath ?? replayDataPath
      config.selfReplaySamples = selfReplaySamples
      config.selfReplayTokens = selfReplayTokens
      config.selfReplayPrompts = selfReplayPrompts
      config.selfReplayPrompted = selfReplayPrompted
    }
    return config
  }
}
