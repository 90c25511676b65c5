import JSON
import Testing

@testable import Ledger

/// Tier plans in the ledger.
@Suite struct PlanTests {
  /// A plan is recorded once; the same again changes nothing, another of its number is refused.
  @Test func recordedOnce() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    #expect(try ledger.tierPlans() == [])
    let first = TierPlanRecord(number: 1, firstStep: 1, plan: ["tiers": [["frequency": 1]]])
    try ledger.record(plan: first)
    try ledger.record(plan: first)
    #expect(try ledger.tierPlans() == [first])
    for other in [
      TierPlanRecord(number: 1, firstStep: 2, plan: first.plan),
      TierPlanRecord(number: 1, firstStep: 1, plan: ["tiers": []]),
    ] {
      #expect {
        try ledger.record(plan: other)
      } throws: {
        "\($0)".contains("tier plan 1 is recorded with other tiers")
      }
    }
    let second = TierPlanRecord(number: 2, firstStep: 30, plan: ["tiers": []])
    try ledger.record(plan: second)
    #expect(try ledger.tierPlans() == [first, second])
  }

  /// A plan that an evaluation has led to is recorded with it, and void with it.
  @Test func recordedWithAnEvaluation() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    let plans = [1, 3, 5].enumerated().map {
      TierPlanRecord(number: $0 + 1, firstStep: $1, plan: ["tiers": [.number($0)]])
    }
    try ledger.record(plan: plans[0])
    for number in 1...6 {
      try ledger.commit(step(number), tiers: [tier(0, version: number)], assignments: [])
      guard number % 2 == 0 else { continue }
      let evaluation = EvaluationRecord(
        step: number, loss: 2, perplexity: 7, tokens: 8, isBest: false, seconds: 1, metrics: [:])
      let plan = number < 6 ? plans[number / 2] : nil
      for isAgain in [false, true] {
        try ledger.record(evaluation: evaluation, plan: plan, mayBeThere: isAgain)
      }
    }
    #expect(try ledger.tierPlans() == plans)
    _ = try ledger.rollBack(byHandTo: 3)
    #expect(try ledger.tierPlans() == Array(plans.prefix(2)), "plan 3 was of the evaluation after step 4")
    _ = try ledger.rollBack(byHandTo: 2)
    #expect(try ledger.tierPlans() == Array(plans.prefix(2)) && ledger.evaluations().map(\.step) == [2])
    _ = try ledger.rollBack(byHandTo: 1)
    #expect(try ledger.tierPlans() == Array(plans.prefix(1)))
  }
}
