import Dataset
import JSON
import LanguageModel
import NestedLearning
import Training
import WireProtocol

extension RunPlan {
  /// How the texts are drawn that this run has the base model write; nil of others.
  var sampling: TextSampling? { selfReplay?.sampling(rows: config.batchSize) }

  /// The rows of steps and evaluations.
  package var batchSource: any BatchSource {
    switch measurement {
    case nil, .importance: RunBatches(self)
    case .texts:
      StartBatches(
        starts: selfReplay?.texts.starts ?? [], rows: config.batchSize,
        perStep: config.gradientAccumulationSteps)
    case .tokenLosses, .squaredGradients:
      MeasuringBatches(
        rows: measurement == .tokenLosses
          ? data.train : replay?.rows.first(config.gradientAccumulationSteps) ?? RowSet([]),
        batchSize: config.batchSize, perStep: config.gradientAccumulationSteps)
    }
  }
}

/// A run's data as its sampler and its validation rows give it.
private struct RunBatches: BatchSource {
  private let plan: RunPlan
  private let evaluation: EvaluationBatches

  init(_ plan: RunPlan) {
    self.plan = plan
    let batches = plan.data.evaluationBatches(batchSize: plan.config.batchSize)
    evaluation = plan.rowDomains?.marked(batches) ?? batches
  }

  func microBatches(step: Int) -> [AssignedMicroBatch] {
    microBatches(step: step, after: FollowedEvaluations())
  }

  func sampling(step: Int, after followed: FollowedEvaluations) -> StepSampling? {
    plan.sampler.sampling(step: step, after: followed.accuracies)
  }

  func microBatches(step: Int, after followed: FollowedEvaluations) -> [AssignedMicroBatch] {
    let (batches, rows) = batches(step: step, after: followed)
    return weighted(plan.rowDomains?.marked(batches, rows: rows, step: step) ?? batches)
  }

  private func weighted(_ batches: [AssignedMicroBatch]) -> [AssignedMicroBatch] {
    plan.heads.count > 1 ? TaskShares(of: batches).weighted() : batches
  }

  /// The micro-batches of a step, and the numbers of their rows.
  private func batches(
    step: Int, after followed: FollowedEvaluations
  ) -> ([AssignedMicroBatch], rows: [[Int]]) {
    let worst = followed.worst.map { (step: $0.step, task: $0.task) }
    var taken: [[Int]] = []
    let batches = (0..<plan.config.gradientAccumulationSteps).map { number in
      let rows = plan.sampler.rows(step: step, index: number, after: followed.accuracies, worst: worst)
      var batch = AssignedMicroBatch(number: number, plan.sampler.microBatch(of: rows))
      batch.replayedRows = rows.indices.filter { rows[$0].isReplayed }
      if let weights = plan.rowWeights {
        batch.rowWeights = rows.map { $0.isReplayed ? 1 : weights[$0.number] }
      }
      taken.append(rows.map(\.number))
      return batch
    }
    return (batches, taken)
  }

  func evaluationTokens() -> [Int] { (0..<evaluation.count).map(evaluation.trainedTokens) }

  func evaluationBatch(_ number: Int) -> AssignedMicroBatch {
    AssignedMicroBatch(number: number, evaluation[number])
  }
}

extension AssignedMicroBatch {
  init(number: Int, _ batch: MicroBatch) {
    self.init(
      number: number, tokens: batch.tokens, offsets: batch.offsets, labels: batch.labels,
      rowTasks: batch.rowTasks)
    rowDomains = batch.rowDomains
  }
}
