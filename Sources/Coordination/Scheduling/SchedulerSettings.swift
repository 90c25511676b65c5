/// What the work on a run depends on. Times are in seconds.
public struct SchedulerSettings: Sendable, Equatable {
  /// The coordinator's generation: durable, and larger than any before.
  public var term: UInt64
  /// Tells this run from all others, in every term; terms are counted within a run.
  public var run: String
  /// Number of values in each tier.
  public var tierParameterCounts: [Int]
  /// Digest of the base model's files: what every worker must have loaded.
  public var modelSHA256: String
  /// The numeric profile that the run is computed in, which every worker must have.
  public var numericProfile: String
  /// Ids and attempts go on where an earlier term left off, so that the ledger never sees one twice.
  public var firstWorkerID = 1
  public var firstAttempt = 1

  /// How many workers the coordinator starts itself: the first unit waits for them, for a bounded time.
  public var expectedLocalWorkers = 0
  /// How long the first unit waits for the other local workers once one worker is ready.
  public var gatherSeconds = 10.0
  /// How long to wait when there is no worker at all, none that could decide, or none that a shard does not fail on,
  /// before the run fails.
  public var noWorkerSeconds = 600.0
  /// What the probe of a worker's arithmetic must come to; nil: workers are not probed.
  public var probeSHA256: String?
  /// How long a probe may take.
  public var probeSeconds = 60.0
  /// How long a worker may take from ENTER_RUN to READY.
  public var loadSeconds = 600.0
  /// The fleet's, which sets them when the run begins: see ``FleetSettings``.
  var maximumWorkers = 1024
  var heartbeatSeconds = 1.0

  /// A lease lasts `leaseMedianFactor` × the median time of a micro-batch × the shard's micro-batches, and at
  /// least this.
  public var leaseFloorSeconds = 5.0
  public var leaseMedianFactor = 3.0
  /// The lease before any shard of its kind has come back.
  public var initialLeaseSeconds = 300.0
  /// A worker that reports no progress of its shard for `stallStepFactor` × the usual time of one step of the
  /// computation, and at least `stallFloorSeconds`, hangs; before that time is known, `initialStallSeconds`.
  public var stallFloorSeconds = 5.0
  public var stallStepFactor = 20.0
  public var initialStallSeconds = 60.0

  /// A shard that takes longer than `backupMedianFactor` × the usual time, and at least this, is also given to a
  /// worker that has nothing else to do.
  public var backupFloorSeconds = 0.05
  public var backupMedianFactor = 2.0

  /// Bytes of results that may be on their way or wait to be added however large each is; of large ones as many as
  /// their sums need.
  public var resultBytes = 64 << 20

  /// Which share of the shards a second worker computes too, to compare: from 0 to 1.
  public var verifyFraction = 0.0
  /// Which of them follows from this seed, the step and the shard's place.
  public var verifySeed: UInt64 = 0
  /// Whom no work is given to: workers that have once come to a wrong result.
  public var quarantined: Set<String> = []

  /// A worker that fails twice in a row gets no work for this long, and twice as long with each further failure, up to
  /// the maximum; a right result ends it.
  public var cooldownSeconds = 1.0
  public var maximumCooldownSeconds = 60.0

  /// A shard at which so many different identities failed, or all that are there if these are fewer, is poison: the run
  /// is paused, and fails after `noWorkerSeconds` unless somebody computes it.
  public var poisonIdentities = 3

  /// Cut every node by tiers even if there are no more workers than nodes.
  public var shardByTier = false

  public init(
    term: UInt64, run: String, tierParameterCounts: [Int], modelSHA256: String, numericProfile: String
  ) {
    self.run = run
    self.term = term
    self.tierParameterCounts = tierParameterCounts
    self.modelSHA256 = modelSHA256
    self.numericProfile = numericProfile
  }

  public var tierCount: Int { tierParameterCounts.count }
}
