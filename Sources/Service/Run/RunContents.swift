import Dataset
import JSON
import Ledger
import NestedLearning
import Training
import WireProtocol

/// What the store of a run needs to know of what is trained. A plan has it from a model and data; simulations have it
/// in memory.
package protocol RunContents: Sendable {
  var config: NestedLearningConfig { get }
  var scheduler: ParameterTierScheduler { get }
  /// The shape of each parameter, by name.
  var shapes: [String: [Int]] { get }
  /// What training starts from, by parameter.
  var initialValues: [String: [Float]] { get }
  /// What fixes the bits of the workers' gradients.
  var numericProfile: String { get }
  /// What the metrics say of rows that are too long.
  var rowsCut: (train: RowsCut, validation: RowsCut) { get }
  /// What holds the parameters where training began; nil without.
  var penalty: WeightPenalty? { get }
  /// What adds up what the run measures; nil of one that trains.
  var measurer: Measurer? { get }
  /// Keeps what the run has measured.
  func keep(_ values: MeasuredValues)
  /// How often a step has gone through the data.
  func epoch(after step: Int) -> Int
  /// Writes a checkpoint's tensors into a folder.
  ///
  /// - Parameter scale: what the adapter's scale is multiplied by.
  func write(parameters: [String: [Float]], scale: Double, to folder: String) throws
}

extension RunContents {
  package var penalty: WeightPenalty? { nil }
  package var measurer: Measurer? { nil }
  package func keep(_ values: MeasuredValues) {}

  /// A step's row of train_metrics.jsonl.
  ///
  /// - Parameter memory: how much the run's processes have, as `MemoryWatch` says it.
  func metrics(
    _ applied: AppliedStep, seconds: Double, snapshotSeconds: Double, traffic: Traffic,
    memory: JSONValue? = nil
  ) -> JSONValue {
    let outcome = applied.outcome
    var row: JSONObject = [
      "step": .number(applied.step), "loss": applied.loss.map { .number($0) } ?? .null,
      "learning_rate": .number(outcome.learningRate),
      "tier_learning_rates": .numbers(outcome.tierLearningRates), "grad_norm": .number(outcome.gradNorm),
      "tier_grad_norms": .numbers(outcome.tierGradNorms), "active_tiers": .numbers(outcome.shownTiers),
      "tokens": .number(applied.tokens),
      "tokens_per_second": .number(Double(applied.tokens) / max(seconds, 1e-9)),
      "step_time": .number(seconds), "snapshot_time": .number(snapshotSeconds),
      "epoch": .number(applied.sampling?.epoch ?? epoch(after: applied.step)),
      "long_rows": .number(rowsCut.train.rows), "tokens_cut": .number(rowsCut.train.tokens),
      "traffic": traffic.json,
      "tier_stats": applied.scheduler.statistics(
        globalStep: applied.step, updateCounts: applied.updateCounts),
    ]
    row["memory"] = memory
    for (key, value) in applied.losses.columns { row[key] = value }
    if let reversal = GradientReversal(config) {
      row["adversary_lambda"] = .number(reversal.lambda(at: applied.step))
    }
    if let tasks = applied.losses.terms?.tasks, !tasks.isEmpty { row["tasks"] = json(of: tasks, applied) }
    let drift = TierDrift(applied, self).values
    if drift.contains(where: { $0 != nil }) {
      row["tier_drift"] = .array(drift.map { $0.map { .number($0) } ?? .null })
    }
    if let sampling = applied.sampling {
      row["sampled_difficulty"] = sampling.difficulty.map { .number($0) }
      row["curriculum_threshold"] = sampling.threshold.map { .number($0) }
      row["curriculum_stage"] = sampling.stage.map { .number($0) }
    }
    if let penalty = outcome.penalty { row["weight_penalty"] = .number(penalty) }
    if !applied.windowNorms.isEmpty {
      var norms = [JSONValue](repeating: .null, count: scheduler.tiers.count)
      for (tier, norm) in applied.windowNorms { norms[tier] = .number(norm) }
      row["window_norms"] = .array(norms)
    }
    return .object(row)
  }

  /// Of each task its mean loss and number of labels, and what its loss weighs from here on, where that is learned.
  private func json(of tasks: [TaskSums], _ applied: AppliedStep) -> JSONValue {
    let weights = LearnedTaskWeights.of(applied, self)
    return .object(
      JSONObject(
        zip(config.tasks, tasks).enumerated().map { index, pair in
          let (task, sums) = pair
          var members: JSONObject = [
            "loss": sums.places > 0 ? .number(sums.loss / Double(sums.places)) : .null,
            "labels": .number(sums.places),
          ]
          if let weights, index < weights.count { members["weight"] = .number(weights[index]) }
          return .init(key: task.name, value: .object(members))
        }))
  }

  /// A tier as the ledger has it.
  ///
  /// - Parameter scheduler: with the periods of the newest plan.
  func record(of tier: TierValues, _ scheduler: ParameterTierScheduler) -> TierVersionRecord {
    let description = scheduler.tiers[tier.tier]
    return TierVersionRecord(
      tier: tier.tier, frequency: description.frequency, parameterCount: description.parameterCount,
      version: tier.version, digest: tier.digest)
  }

  /// A slower copy, which is a tier of the config, as the ledger has it.
  func record(of copy: CopyState) -> TierVersionRecord {
    let description = scheduler.shownTiers[copy.level]
    return TierVersionRecord(
      tier: copy.level, frequency: description.frequency, parameterCount: description.parameterCount,
      version: copy.version, digest: copy.digest)
  }
}

/// Rows of data with more tokens than a micro-batch takes.
package struct RowsCut: Sendable {
  package var rows = 0
  /// Of them, left out.
  package var tokens = 0

  package init() {}

  init(_ counts: LongRowCounts) { (rows, tokens) = (counts.rows, counts.tokensLeftOut) }
}
