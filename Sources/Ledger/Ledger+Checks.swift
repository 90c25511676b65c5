import GRDB

/// Looking for damage.
extension Ledger {
  /// Tables that stay small however long the run is.
  private static let smallTables = [
    "runs", "tiers", "checkpoints", "snapshots", "quarantine", "returns", "step_totals",
  ]
  private static let newestSteps = 100

  /// Looks for damage in what a coordinator needs to go on: a few pages, however long the run is. Old steps and
  /// hand-outs are not looked at, since the run can go on without them; `findings` looks at everything.
  ///
  /// - Throws: `LedgerError.damaged`, which says what was found.
  public func checkWhatIsNeeded() throws(LedgerError) {
    try read("checking the ledger") { db in
      for table in Self.smallTables {
        let finding = try String.fetchOne(db, sql: "PRAGMA quick_check('\(table)')") ?? "no answer"
        if finding != "ok" {
          throw LedgerError.damaged(path: self.path, reason: "table \(table): \(finding)")
        }
      }
      let steps = try Int.fetchAll(
        db, sql: "SELECT step FROM steps ORDER BY step DESC LIMIT ?", arguments: [Self.newestSteps])
      for (step, next) in zip(steps.dropFirst(), steps) where step != next - 1 {
        throw LedgerError.damaged(path: self.path, reason: "step \(next - 1) is missing")
      }
    }
  }

  /// Looks for damage in all of it: pages, indexes, values, rows that refer to others, gaps between steps. Takes as long
  /// as reading the file.
  ///
  /// - Returns: what was found, at most 20 lines; none for a sound ledger.
  public func findings() throws(LedgerError) -> [String] {
    do {
      return try read("checking the ledger", Self.findings)
    } catch {
      // SQLite gives up in the middle where a page cannot be read at all.
      guard case .damaged(_, let reason) = error else { throw error }
      return [reason]
    }
  }

  private static func findings(_ db: Database) throws -> [String] {
    var findings = try String.fetchAll(db, sql: "PRAGMA integrity_check(10)").filter { $0 != "ok" }
    guard findings.isEmpty else { return findings }
    findings += try Row.fetchAll(db, sql: "PRAGMA foreign_key_check").prefix(9).map { row in
      "a row of \(row["table"] as String) refers to a row of \(row["parent"] as String) that is not there"
    }
    let count = try Int.fetchOne(db, sql: "SELECT count(*) FROM steps") ?? 0
    let last = try lastStep(db)
    if count != last { findings.append("there are \(count) steps, but the last one is step \(last)") }
    return findings
  }
}
