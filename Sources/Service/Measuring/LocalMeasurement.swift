import LanguageModel
import NestedLearning
import Tensors
import Training
import WireProtocol

extension RunPlan {
  /// A plan for which everything that is to be measured is measured in this process, unless it is known.
  ///
  /// - Throws: what is wrong, with file, line and key where there is one.
  package static func measuring(
    config: NestedLearningConfig, threads: Int, progress: Progress = Progress()
  ) throws -> RunPlan {
    let store = MeasurementStore()
    while true {
      do {
        return try RunPlan(config: config, progress: progress, measurements: store)
      } catch let needed as MeasurementNeeded {
        let measuring = try LocalMeasurement(plan: needed.plan, threads: threads)
        needed.plan.keep(try measuring.values(progress: progress.measuring))
      }
    }
  }
}

/// A measurement by this machine's own model, added up as a cluster does.
private struct LocalMeasurement {
  private let plan: RunPlan
  private let model: TrainableModel
  private let names: Set<String>

  init(plan: RunPlan, threads: Int) throws {
    self.plan = plan
    model = try plan.model(threads: threads)
    names = Set(plan.scheduler.parameters)
  }

  func values(progress: ((_ done: Int, _ of: Int) -> Void)?) throws -> MeasuredValues {
    guard var measurer = plan.measurer else { throw ServiceError("the plan measures nothing") }
    let source = plan.batchSource
    for step in 1...plan.config.numSteps {
      progress?(step - 1, plan.config.numSteps)
      let unit = UnitBatches(source.microBatches(step: step))
      if measurer.measurement.measure?.isByMicroBatch == true {
        measurer.take(numbers: try unit.microBatches.flatMap { try numbers(of: $0, step: step) })
        continue
      }
      let sums = try ReductionTree.reduce(
        .root(count: unit.microBatches.count), count: unit.microBatches.count,
        leaf: {
          try gradients(of: unit.microBatches[$0], squared: measurer.measurement == .squaredGradients)
        },
        add: { try ReductionTree.add($1, to: &$0) })
      try measurer.take(sums, trainedTokens: unit.trainedTokens)
    }
    return measurer.values
  }

  private func numbers(of batch: AssignedMicroBatch, step: Int) throws -> [Float] {
    guard var sampling = plan.sampling else { return try model.tokenLosses(MicroBatch(batch)) }
    sampling.first = (step - 1) * plan.config.gradientAccumulationSteps * sampling.rows
    return try SelfReplay(sampling, of: batch).numbers(with: model)
  }

  private func gradients(of batch: AssignedMicroBatch, squared: Bool) throws -> GradientSums {
    let gradients = try model.gradients(MicroBatch(batch), of: names, dropout: nil).gradients
    return gradients.mapValues { squared ? Vectors.squares($0.values) : $0.values }
  }
}
