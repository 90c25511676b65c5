import GRDB
import JSON

/// Which parameters are updated when, in force from a step on.
public struct TierPlanRecord: Sendable, Equatable {
  /// 1 for the plan that the run began with.
  public let number: Int
  /// The first step (1-based) that it is in force at.
  public let firstStep: Int
  /// Its tiers, with periods, phases and the names of their parameters.
  public let plan: JSONValue

  public init(number: Int, firstStep: Int, plan: JSONValue) {
    self.number = number
    self.firstStep = firstStep
    self.plan = plan
  }
}

extension Ledger {
  /// The plans of the run, in their order.
  public func tierPlans() throws(LedgerError) -> [TierPlanRecord] {
    try read("reading the tier plans") { db in
      try Row.fetchAll(db, sql: "SELECT * FROM tier_plans ORDER BY number").map { row in
        TierPlanRecord(
          number: row["number"], firstStep: row["first_step"], plan: try Self.json(row["plan"]))
      }
    }
  }

  /// Records a plan. One that is recorded already must be the same, and nothing changes then.
  ///
  /// - Throws: `LedgerError.contradiction` if the plan of this number is another.
  public func record(plan: TierPlanRecord) throws(LedgerError) {
    try write("recording tier plan \(plan.number)") { db in
      try Self.insert(plan, db, term: self.checkTerm(db))
    }
  }

  /// As part of a transaction.
  static func insert(_ plan: TierPlanRecord, _ db: Database, term: Int64) throws {
    let known = try Row.fetchOne(
      db, sql: "SELECT * FROM tier_plans WHERE number = ?", arguments: [plan.number])
    if let known {
      guard known["first_step"] == plan.firstStep, try Self.json(known["plan"]) == plan.plan else {
        throw LedgerError.contradiction(
          "the run's tier plan \(plan.number) is recorded with other tiers than its config gives now; the program "
            + "that began the run divides parameters in another way than this one")
      }
      return
    }
    try db.execute(
      sql: "INSERT INTO tier_plans (number, first_step, plan, term) VALUES (?, ?, ?, ?)",
      arguments: [plan.number, plan.firstStep, plan.plan.text, term])
  }
}
