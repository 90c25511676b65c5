import NestedLearning
import WireProtocol

/// A shard of the open unit: who computes it, and what they came to.
struct ShardProgress: Sendable {
  /// Whether a second worker is to compute it as well.
  enum Check: Sendable {
    case none
    /// Chosen by lot: waived if there is no second worker.
    case sampled
    /// Waited for.
    case demanded
  }

  /// The unit that it is part of.
  @Indirect private(set) var unit: WorkUnit
  let shard: Shard
  /// What to compute it with, by tier.
  let versions: [TierVersion]
  /// The one worker that can compute it; nil: any.
  var pinnedTo: Int?
  var check = Check.none
  /// What is asked of chains, if it was decided with the unit.
  var windows: [WindowOrder] = []
  /// What a worker has said of it before: one more voice, whose bytes did not come.
  var claims: GradientClaims?
  /// The worker that it is pinned to cannot give it, and the unit goes without.
  var isGivenUp = false

  /// The attempt whose bytes lie in the sums that are made as results come; nil if none do.
  var summed: Int?
  /// Attempts whose end has not been heard of.
  var running: [Int] = []
  /// What came, as far as it differs; the first that came first.
  var opinions: [Opinion] = []
  var failures = ShardFailures()

  init(unit: WorkUnit, shard: Shard, versions: [TierVersion], pinnedTo: Int? = nil, check: Check = .none) {
    self.unit = unit
    self.shard = shard
    self.versions = versions
    self.pinnedTo = pinnedTo
    self.check = check
  }

  /// Whether two results are the same word on this shard. Of gradients that are computed again the loss is not wanted:
  /// the step has been committed with its own, and claims say nothing of it.
  func agree(_ a: ResultSummary, _ b: ResultSummary) -> Bool {
    unit.purpose == .recompute ? a.word == b.word : a.agrees(with: b)
  }

  /// How many must agree.
  var required: Int { check != .none || isDisputed ? 2 : 1 }
  var isDisputed: Bool { opinions.count > 1 || opinions.contains { claims?.contradict($0.summary) == true } }

  /// Whose word an opinion is.
  func supporters(of opinion: Opinion) -> Set<String> {
    guard let claims, !claims.contradict(opinion.summary) else { return opinion.identities }
    return opinion.identities.union([claims.identity])
  }

  /// The opinion with the most votes; of equal ones the first that came.
  var leading: Opinion? {
    guard opinions.count > 1 else { return opinions.first }
    var (best, most) = (Opinion?.none, 0)
    for opinion in opinions {
      let count = supporters(of: opinion).count
      if count > most { (best, most) = (opinion, count) }
    }
    return best
  }

  /// What the shard comes to, once enough agree.
  var agreed: Opinion? {
    guard let leading, required == 1 || supporters(of: leading).count >= required else { return nil }
    return leading
  }

  /// Whether somebody has come to something, and another is to come to the same.
  var wantsAnotherVoice: Bool { !opinions.isEmpty && agreed == nil }

  /// What counts: agreed, and its bytes are here.
  var counted: (opinion: Opinion, payload: Int)? {
    guard let agreed, let payload = agreed.payload else { return nil }
    return (agreed, payload)
  }

  /// Whether nothing more is to come of it.
  var isDone: Bool { isGivenUp || counted != nil }

  /// Its place in units of its kind, by which it goes to the same worker step after step.
  var slot: Slot { Slot(purpose: unit.purpose, shard: shard) }
  var voters: Set<String> {
    opinions.reduce(into: Set([claims?.identity].compactMap(\.self))) { $0.formUnion($1.identities) }
  }
  /// The workers that said something else each.
  var voices: [Int] {
    let isContradicted = opinions.contains { claims?.contradict($0.summary) == true }
    return (isContradicted ? [claims?.worker] : []).compactMap(\.self) + opinions.compactMap(\.workerID)
  }
  var name: String { shard.name(in: unit) }
}

/// A shard's place in units of one kind.
struct Slot: Sendable, Hashable {
  let purpose: Purpose
  let node: TreeNode
  /// Of the shards of the same node, which one.
  let firstTier: Int?

  init(purpose: Purpose, shard: Shard) {
    self.purpose = purpose
    node = shard.node
    firstTier = shard.tiers.first
  }
}

/// The unit that is being computed.
struct OpenUnit: Sendable {
  @Indirect private(set) var unit: WorkUnit
  let opened: Instant
  /// Empty until there are workers to cut it for.
  var shards: [ShardProgress] = []
  /// In which order their results may come; nil if that is nothing to it.
  var creditOrder: CreditOrder?
  /// What its own shards are computed with.
  var versions: [TierVersion] = []
  /// Whether any shard has failed.
  var hasFailures = false
  /// Whether of any shard more than one word may be wanted.
  var hasChecks = false
  /// Since when nobody computes it or could.
  var withoutWorkersSince: Instant?
  /// Since when a shard waits for a worker that could say who is right.
  var withoutArbiterSince: Instant?
  /// Place of a shard that was not done when the unit was last looked at.
  private var undone = 0

  init(unit: WorkUnit, opened: Instant, versions: [TierVersion] = []) {
    self.unit = unit
    self.opened = opened
    self.versions = versions
  }

  /// Whether it has been cut into shards, and all of them are done. Asked after each message, so that it looks on from
  /// where it found one that was not, and not at all of them.
  mutating func isDone() -> Bool {
    let start = min(undone, shards.count)
    guard
      let place = shards[start...].firstIndex(where: { !$0.isDone })
        ?? shards[..<start].firstIndex(where: { !$0.isDone })
    else { return !shards.isEmpty }
    undone = place
    return false
  }
}
