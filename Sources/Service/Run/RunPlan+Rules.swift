import Dataset
import JSON
import LanguageModel
import Ledger
import NestedLearning
import Training
import WireProtocol

extension RunPlan {
  /// The rows of steps and evaluations.
  package var batchSource: any BatchSource { RunBatches(self) }
}

extension TierPlanRecord {
  /// Its tiers, given how many numbers the parameters of each have.
  func tiers(parameterCounts: [Int]) -> [Tier] {
    zip(plan["tiers"]?.array ?? [], parameterCounts).enumerated().compactMap { index, tier in
      guard let frequency = tier.0["frequency"]?.int, frequency > 0, let phase = tier.0["phase"]?.int else {
        return nil
      }
      let names = (tier.0["parameters"]?.array ?? []).compactMap(\.string)
      return Tier(
        index: index, frequency: frequency, phase: phase, parameters: names, parameterCount: tier.1)
    }
  }
}

/// A run's data as its sampler and its validation rows give it.
private struct RunBatches: BatchSource {
  private let plan: RunPlan
  private let evaluation: EvaluationBatches

  init(_ plan: RunPlan) {
    self.plan = plan
    evaluation = plan.data.evaluationBatches(batchSize: plan.config.batchSize)
  }

  func microBatches(step: Int) -> [AssignedMicroBatch] {
    (0..<plan.config.gradientAccumulationSteps).map { number in
      let rows = plan.sampler.rows(step: step, index: number)
      var batch = AssignedMicroBatch(number: number, plan.sampler.microBatch(step: step, index: number))
      batch.replayedRows = rows.indices.filter { rows[$0].isReplayed }
      return batch
    }
  }

  func evaluationTokens() -> [Int] { (0..<evaluation.count).map(evaluation.trainedTokens) }

  func evaluationBatch(_ number: Int) -> AssignedMicroBatch {
    AssignedMicroBatch(number: number, evaluation[number])
  }
}

extension AssignedMicroBatch {
  fileprivate init(number: Int, _ batch: MicroBatch) {
    self.init(number: number, tokens: batch.tokens, offsets: batch.offsets, labels: batch.labels)
  }
}
