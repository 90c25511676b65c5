import WireProtocol

/// What a run that is paused waits for.
public enum PauseCause: String, Sendable, Hashable {
  /// Somebody to compute.
  case noWorkers
  /// Somebody to say which of two results is right, or to compare one with.
  case needsArbiter
  /// Somebody that a shard does not fail on.
  case poisonedShard
}

/// What can be seen from outside: for a status page, logs and tests.
public struct RunStatus: Sendable, Hashable {
  /// What the run is doing.
  public enum State: Sendable, Hashable {
    /// No unit is open: the coordinator itself is at work.
    case idle
    /// Workers are expected, but not all that were started are ready.
    case gathering
    /// A unit is open and being computed.
    case stepOpen
    /// A unit is open and there is nobody to compute it, or nobody to say which of two results is right.
    case paused
    /// There are fewer workers than runs, and this one comes later.
    case waiting
    /// The work is over, and its workers have left the run.
    case completed
    case failed
  }

  public struct Worker: Sendable, Hashable {
    public enum State: String, Sendable, CaseIterable {
      /// It has joined, and loads the model.
      case loading
      /// Its arithmetic is compared with the coordinator's.
      case probing
      case ready
      case busy
      /// The lease of its shard is over.
      case suspect
      /// It keeps failing, and is left alone for a while.
      case cooldown
    }
    public let id: Int
    public let peer: PeerID
    public let host: String
    public let processID: Int
    public let threads: Int
    public let localIndex: Int?
    public let state: State
    /// What it does or what is waited for, since when, and until when at most.
    public let reason: String
    public let since: Instant
    public let deadline: Instant?
    public let lastHeard: Instant
    public let shardsDone: Int
  }

  public struct ShardState: Sendable, Hashable {
    public enum State: String, Sendable, CaseIterable {
      /// Nobody computes it.
      case pending
      case leased
      /// A backup computes it as well.
      case speculated
      /// A result is on its way.
      case uploading
      /// A result is here, and is compared with another's.
      case checking
      /// Its result counts.
      case verified
      /// All that are there have failed at it, or enough others; it is tried again for a time.
      case poisoned
    }
    public let name: String
    public let state: State
    /// What is waited for, since when, and until when at most.
    public let reason: String
    public let since: Instant
    public let deadline: Instant?
    /// Hand-outs that failed.
    public let failures: Int
    /// The workers that have computed it or do.
    public let workers: [Int]
  }

  public let term: UInt64
  public let run: State
  /// What the run waits for, in words.
  public let reason: String
  /// Since when.
  public let since: Instant
  /// When the wait ends by itself.
  public let deadline: Instant?
  /// Why the run is paused, if it is.
  public let pause: PauseCause?
  public let unit: WorkUnit?
  public let workers: [Worker]
  public let shards: [ShardState]
  /// Results that came and did not count, by outcome.
  public let ignoredResults: [AttemptOutcome: Int]
  /// Shards that were to be computed twice and were not, as there was no second worker.
  public let waivedChecks: Int
  /// Since this coordinator began: leases that ended before a result came, and shards that were given to a second worker
  /// as the first was late.
  public let expiredLeases: Int
  public let backups: Int
}
