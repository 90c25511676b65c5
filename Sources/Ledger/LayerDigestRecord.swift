/// What the counted result of a shard said beyond what it counts for: by it, whoever computes the step again finds where it
/// first differs. All are numbers that are compared and nothing else.
public struct LayerDigestRecord: Sendable, Hashable {
  /// A partial sum that the shard's worker kept, with the first 8 bytes of its SHA-256.
  public struct PartialSum: Sendable, Hashable {
    public var tier: Int
    public var microBatch: Int
    public var digest: UInt64

    public init(tier: Int, microBatch: Int, digest: UInt64) {
      self.tier = tier
      self.microBatch = microBatch
      self.digest = digest
    }
  }

  /// The sum over the shard's micro-batches of a tier's window, with the first 8 bytes of its SHA-256.
  public struct WindowSum: Sendable, Hashable {
    public var tier: Int
    public var digest: UInt64

    public init(tier: Int, digest: UInt64) {
      self.tier = tier
      self.digest = digest
    }
  }

  /// Of which shard: see ``ShardDigestRecord``.
  public var firstMicroBatch: Int
  /// Inclusive.
  public var lastMicroBatch: Int
  /// Ascending.
  public var tiers: [Int]
  /// See `LayerDigests` in WireProtocol.
  public var forward: [UInt64] = []
  public var backward: [UInt64] = []
  public var gradients: [UInt64] = []
  public var sums: [UInt64] = []
  public var partialSums: [PartialSum] = []
  public var windowSums: [WindowSum] = []

  public init(firstMicroBatch: Int, lastMicroBatch: Int, tiers: [Int]) {
    self.firstMicroBatch = firstMicroBatch
    self.lastMicroBatch = lastMicroBatch
    self.tiers = tiers
  }

  /// Whether there is anything in it.
  public var isEmpty: Bool {
    forward.isEmpty && backward.isEmpty && gradients.isEmpty && sums.isEmpty && partialSums.isEmpty
      && windowSums.isEmpty
  }
}
