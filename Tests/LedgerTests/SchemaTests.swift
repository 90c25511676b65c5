import Foundation
import GRDB
import Testing

@testable import Ledger

/// Sources/Ledger/SCHEMA.md is held to the database that the program makes.
@Suite struct SchemaTests {
  static let document = URL(fileURLWithPath: #filePath).deletingLastPathComponent()
    .appendingPathComponent("../../Sources/Ledger/SCHEMA.md")

  /// The SQL statements of the document's code blocks, without their semicolons.
  private func statements() throws -> [String] {
    let text = try String(contentsOf: Self.document, encoding: .utf8)
    let blocks = text.components(separatedBy: "```sql\n").dropFirst().map {
      $0.components(separatedBy: "\n```")[0]
    }
    return blocks.flatMap { $0.components(separatedBy: ";") }
      .map { $0.trimmingCharacters(in: .whitespacesAndNewlines) }.filter { !$0.isEmpty }
  }

  @Test func documentHasTheTablesOfTheDatabase() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    let real = try ledger.read("") { db in
      try String.fetchAll(
        db, sql: "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND tbl_name <> 'grdb_migrations'")
    }
    let written = try statements().filter { $0.hasPrefix("CREATE ") }
    #expect(real.count == 17)
    #expect(Set(written) == Set(real))
  }

  /// Every column that the document explains exists in the table above the explanation.
  @Test func explainedColumnsExist() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    let text = try String(contentsOf: Self.document, encoding: .utf8)
    for section in text.components(separatedBy: "\n### ").dropFirst() {
      let table = section.components(separatedBy: "\n")[0]
      let columns = try ledger.read("") { db in try db.columns(in: table).map(\.name) }
      let explained = section.components(separatedBy: "\n").filter { $0.hasPrefix("| `") }.flatMap { row in
        row.components(separatedBy: " | ")[0].components(separatedBy: "`").filter {
          !["", "| ", ", "].contains($0)
        }
      }
      #expect(!explained.isEmpty)
      #expect(Set(explained).isSubset(of: columns), "\(table)")
    }
  }

  /// The document's questions, asked of a run in which worker 2 was lost and worker 1 did its shard again.
  @Test func questionsAreAnswered() throws {
    let folder = try TemporaryFolder()
    let ledger = try workingLedger(in: folder)
    try ledger.record(worker: worker(2, term: 1))
    try ledger.commit(
      step(1), tiers: [],
      assignments: [
        handOut(1, term: 1), handOut(2, term: 1, worker: 2, outcome: "lost"), handOut(3, term: 1),
      ])
    let questions = try statements().filter { $0.hasPrefix("SELECT") }
    try #require(questions.count == 4)
    let answers = try ledger.read("") { db in try questions.map { try Row.fetchAll(db, sql: $0) } }
    #expect(answers[0].count == 3)
    #expect(answers[0].allSatisfy { $0["host"] == "alpha" && $0["seconds"] == 1.5 })
    #expect(
      answers[1].map { "\($0["worker"] as Int): \($0["shards"] as Int), \($0["seconds"] as Double)" } == [
        "1: 2, 3.0"
      ])
    #expect(answers[2].map { "\($0["outcome"] as String)" } == ["lost"])
    #expect(answers[3].map { "\($0["tier"] as Int): \($0["updates"] as Int)" } == ["0: 1", "1: 1"])
  }
}
