import JSON
import Ledger

/// What a run's steps came to, as points over steps.
struct StepCurves {
  typealias Points = [(x: Double, y: Double)]

  /// Mean loss over a step's trained tokens, where one was computed.
  private(set) var loss: Points = []
  private(set) var seconds: Points = []
  /// By tier, the rate of each step.
  private(set) var rates: [Points]
  /// By tier, the norm before clipping of each gradient that was applied.
  private(set) var gradientNorms: [Points]
  /// Mean difficulty of each step's rows, and the most that a curriculum let one have; empty where nothing goes by it.
  private(set) var difficulty: Points = []
  private(set) var threshold: Points = []
  /// Trained tokens of all steps.
  private(set) var tokens = 0

  init(_ ledger: Ledger, tierCount: Int) throws {
    rates = Array(repeating: [], count: tierCount)
    gradientNorms = rates
    try ledger.forEachStep { step, row in take(Double(step), row) }
  }

  private mutating func take(_ step: Double, _ row: JSONValue) {
    if let value = row["loss"]?.double { loss.append((step, value)) }
    if let value = row["step_time"]?.double { seconds.append((step, value)) }
    if let value = row["sampled_difficulty"]?.double { difficulty.append((step, value)) }
    if let value = row["curriculum_threshold"]?.double { threshold.append((step, value)) }
    tokens += row["tokens"]?.int ?? 0
    let active = (row["active_tiers"]?.array ?? []).compactMap(\.int)
    func add(_ key: String, to points: inout [Points], _ isWanted: (Int) -> Bool) {
      for (tier, value) in (row[key]?.array ?? []).enumerated()
      where points.indices.contains(tier) && isWanted(tier) {
        if let value = value.double { points[tier].append((step, value)) }
      }
    }
    add("tier_learning_rates", to: &rates) { _ in true }
    add("tier_grad_norms", to: &gradientNorms, active.contains)
  }
}
