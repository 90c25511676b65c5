import Dataset
import Foundation
import JSON
import LanguageModel
import Ledger
import NestedLearning
import Training
import WireProtocol

extension RunPlan {
  /// What the course of the run depends on.
  func rules(_ options: RunOptions, folder: String) -> RunRules {
    var rules = RunRules(
      config: config, plan: TierPlan(scheduler: scheduler), batches: RunBatches(plan: self),
      stateBytes: stateBytes, dropoutSeed: usesDropout ? config.seed : nil,
      resumeCommand: "nl-coord resume \(folder)")
    rules.keepsWorkersAtStop = options.isStartedAgain
    rules.graceSeconds = options.operations.graceSeconds
    if let seconds = options.failpoints.number(.diskPause) { rules.diskPatienceSeconds = seconds }
    return rules
  }
}

extension RunPlan {
  /// Its tiers, for the ledger.
  var tierPlan: TierPlanRecord {
    let tiers = scheduler.tiers.map { tier -> JSONValue in
      [
        "frequency": .number(tier.frequency), "phase": .number(tier.phase),
        "parameters": .array(tier.parameters.map { .string($0) }),
      ]
    }
    let plan = TierPlan(scheduler: scheduler)
    return TierPlanRecord(number: plan.number, firstStep: plan.firstStep, plan: ["tiers": .array(tiers)])
  }
}

/// A run's data as its sampler and its validation rows give it. The sampler keeps the order of the epoch in hand, which
/// is why it is behind a lock; what it gives depends on the place alone.
private final class RunBatches: BatchSource, @unchecked Sendable {
  private let plan: RunPlan
  private let lock = NSLock()
  private var sampler: StepSampler

  init(plan: RunPlan) {
    self.plan = plan
    sampler = plan.sampler
  }

  func microBatches(step: Int) -> [AssignedMicroBatch] {
    lock.withLock {
      (0..<plan.config.gradientAccumulationSteps).map { number in
        AssignedMicroBatch(number: number, sampler.microBatch(step: step, index: number))
      }
    }
  }

  func evaluationBatches() -> [AssignedMicroBatch] {
    plan.data.evaluationBatches(batchSize: plan.config.batchSize).enumerated().map {
      AssignedMicroBatch(number: $0, $1)
    }
  }
}

extension AssignedMicroBatch {
  fileprivate init(number: Int, _ batch: MicroBatch) {
    self.init(number: number, tokens: batch.tokens, offsets: batch.offsets, labels: batch.labels)
  }
}
