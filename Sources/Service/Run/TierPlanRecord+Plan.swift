import JSON
import Ledger
import NestedLearning
import Training

extension [TierPlanRecord] {
  /// The tiers by all of these plans, given how many numbers the parameters of each have.
  func tiers(parameterCounts: [Int]) -> [Tier] {
    guard let first else { return [] }
    return dropFirst().reduce(into: first.tiers(parameterCounts: parameterCounts)) { tiers, plan in
      for (index, tier) in (plan.plan["tiers"]?.array ?? []).enumerated() where tiers.indices.contains(index)
      {
        guard let frequency = tier["frequency"]?.int, let phase = tier["phase"]?.int else { continue }
        tiers[index].follow(
          TierClock.Stretch(
            after: tier["after"]?.int ?? 0, frequency: Swift.max(1, frequency), phase: phase,
            configTier: tier["config_tier"]?.int ?? tiers[index].configTier), from: plan.firstStep)
      }
    }
  }
}

extension TierPlanRecord {
  /// A tier plan as the ledger has it.
  init(_ plan: TierPlan) {
    let tiers = plan.scheduler.shownTiers.map { tier -> JSONValue in
      var members: JSONObject = [
        "frequency": .number(tier.frequency), "phase": .number(tier.phase),
        "parameters": .array(tier.parameters.map { .string($0) }),
      ]
      if tier.clock.newest.after > 0 { members["after"] = .number(tier.clock.newest.after) }
      if plan.scheduler.movesParameters { members["config_tier"] = .number(tier.configTier) }
      if tier.isFrozen {
        members["frozen"] = true
      } else if tier.firstStep > 1 {
        members["first_step"] = .number(tier.firstStep)
      }
      return .object(members)
    }
    self.init(number: plan.number, firstStep: plan.firstStep, plan: ["tiers": .array(tiers)])
  }

  /// The tiers of plan 1, given how many numbers the parameters of each have.
  fileprivate func tiers(parameterCounts: [Int]) -> [Tier] {
    zip(plan["tiers"]?.array ?? [], parameterCounts).enumerated().compactMap { index, tier in
      guard let frequency = tier.0["frequency"]?.int, frequency > 0, let phase = tier.0["phase"]?.int else {
        return nil
      }
      let names = (tier.0["parameters"]?.array ?? []).compactMap(\.string)
      return Tier(
        index: index, frequency: frequency, phase: phase, parameters: names, parameterCount: tier.1,
        firstStep: tier.0["frozen"]?.bool == true ? Tier.never : tier.0["first_step"]?.int ?? 1,
        configTier: tier.0["config_tier"]?.int)
    }
  }
}
