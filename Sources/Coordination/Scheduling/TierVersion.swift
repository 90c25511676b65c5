/// A tier's parameters as they are now.
public struct TierVersion: Sendable, Hashable {
  /// Number of updates applied.
  public var version: Int
  public var digest: String

  public init(version: Int, digest: String) {
    self.version = version
    self.digest = digest
  }
}
