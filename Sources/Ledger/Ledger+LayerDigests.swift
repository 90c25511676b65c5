import Foundation
import GRDB

/// What was said of the way through the layers: of the newest steps, as much as a limit holds.
extension Ledger {
  /// Bytes of all of them.
  static let layerDigestBytes = 1 << 30

  /// Those of a step; none if they are not kept, or no longer.
  public func layerDigests(step: Int) throws(LedgerError) -> [LayerDigestRecord] {
    try read("reading the digests of the layers of step \(step)") { db in
      // Whoever only reads a ledger of an older form cannot bring it up to date.
      guard try db.tableExists("layer_digests"),
        let bytes = try Data.fetchOne(
          db, sql: "SELECT digests FROM layer_digests WHERE step = ?", arguments: [step])
      else { return [] }
      guard let records = LayerDigestCoding.decode(bytes) else {
        throw LedgerError.damaged(
          path: self.path, reason: "the digests of the layers of step \(step) cannot be read")
      }
      return records
    }
  }

  /// - Parameter limit: bytes of all steps together; the oldest go, two at the most for one that comes.
  static func insert(
    _ digests: [LayerDigestRecord], step: Int, limit: Int = layerDigestBytes, _ db: Database
  ) throws {
    let digests = digests.filter { !$0.isEmpty }
    guard !digests.isEmpty else { return }
    guard let bytes = LayerDigestCoding.encode(digests) else {
      throw LedgerError.invalid("step \(step) has digests of a shard whose place is negative")
    }
    let last =
      try Int.fetchOne(db, sql: "SELECT total FROM layer_digests ORDER BY step DESC LIMIT 1") ?? 0
    let total = last + bytes.count
    try db.execute(
      sql: "INSERT INTO layer_digests (step, digests, total) VALUES (?, ?, ?)",
      arguments: [step, bytes, total])
    try db.execute(
      sql: """
        DELETE FROM layer_digests WHERE step IN (
          SELECT step FROM (SELECT step, total FROM layer_digests ORDER BY step LIMIT 2) WHERE total <= ?)
        """,
      arguments: [total - limit])
  }
}
