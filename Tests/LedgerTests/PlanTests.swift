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
}
