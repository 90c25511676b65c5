import Coordination
import LanguageModel

/// The micro-batches of a step or an evaluation, and the number of their trained tokens.
struct UnitData: Sendable {
  var microBatches: [MicroBatch] = []
  var trainedTokens = 0

  init() {}

  init(_ microBatches: [MicroBatch]) {
    self.microBatches = microBatches
    trainedTokens = microBatches.reduce(0) { $0 + $1.trainedTokens }
  }
}

extension CoordinatorService {
  /// The data of a step.
  func data(ofStep step: Int) -> UnitData {
    UnitData(
      (0..<plan.config.gradientAccumulationSteps).map { sampler.microBatch(step: step, index: $0) })
  }

  /// What a part of the open unit is computed on. Those of earlier steps are kept while they are computed again.
  func data(of unit: WorkUnit) -> UnitData {
    guard unit.purpose == .recompute else { return unitData }
    if let known = earlierData[unit.step] { return known }
    let data = data(ofStep: unit.step)
    earlierData[unit.step] = data
    return data
  }
}
