/// One of the slower copies of `tier_mode: consolidate`, as the ledger has it: a tier of the config.
package struct CopyState: Sendable {
  /// From 1; the last is the slowest.
  package let level: Int
  /// How often it has followed.
  package let version: Int
  /// Of its parameters, as a tier's.
  package let digest: String
}
