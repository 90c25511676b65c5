import NestedLearning
import WireProtocol

/// What has to be computed before the run goes on: one step, one evaluation, or what windows lack.
public struct WorkUnit: Sendable, Hashable {
  public var purpose: Purpose
  /// The step, or for an evaluation the step after which it takes place.
  public var step: Int
  /// Micro-batches of the unit.
  public var leafCount: Int
  /// Tiers whose gradients are wanted, ascending; none for an evaluation.
  public var dueTiers: [Int]
  /// Whether gradients come per micro-batch, already divided by the step's tokens.
  public var window: Bool
  /// Whether copies are wanted of the chains that workers keep.
  public var isFlush: Bool
  /// Its shards, if they are not for the planner to cut.
  public var parts: [UnitPart]?
  /// Trained tokens of each micro-batch, to which results are held; empty where nothing depends on them.
  public var trainedTokens: [Int]
  /// Whether two workers have to agree on every shard of it, whatever the run's `verify_fraction` is.
  public var isVerified: Bool
  /// By tier, what it is computed with; nil: the newest parameters.
  public var versions: [TierVersion]?
  /// Whether results bring the sums of an objective beside the loss.
  public var hasTerms = false
  /// Where tasks share the transformer: of each the number of labels that a result counts, 0 if it counts none.
  public var taskLabels: [Int] = []
  /// Rows of each micro-batch, where results say how well their domains are told; empty where they do not.
  public var toldRows: [Int] = []
  /// Whether results of an evaluation bring how many tokens were right.
  public var wantsAccuracy = false
  /// What the scales of LoRA pairs are multiplied by in an evaluation; nil: 1.
  public var adapterScale: Double?
  /// What is wanted in place of gradients; nil: these.
  public var measure: Measure?
  /// How texts are drawn, where these are wanted.
  public var sampling: TextSampling?

  public init(
    purpose: Purpose, step: Int, leafCount: Int, dueTiers: [Int], window: Bool = false, isFlush: Bool = false,
    parts: [UnitPart]? = nil, trainedTokens: [Int] = [], isVerified: Bool = false
  ) {
    self.purpose = purpose
    self.step = step
    self.leafCount = leafCount
    self.dueTiers = dueTiers
    self.window = window
    self.isFlush = isFlush
    self.parts = parts
    self.trainedTokens = trainedTokens
    self.isVerified = isVerified
  }

  /// Trained tokens of some micro-batches; nil if they are not known.
  func trainedTokens(of leaves: Range<Int>) -> Int? {
    guard leaves.upperBound <= trainedTokens.count else { return nil }
    return trainedTokens[leaves].reduce(0, +)
  }

  /// Rows of some micro-batches whose domains are told; nil if none are.
  func toldRows(of leaves: Range<Int>) -> Int? {
    leaves.upperBound <= toldRows.count ? toldRows[leaves].reduce(0, +) : nil
  }

  /// Gradients of earlier steps that are computed again, none of which needs another; nil without any.
  ///
  /// - Parameter parts: ascending by step.
  static func again(_ parts: [UnitPart], leafCount: Int) -> WorkUnit? {
    guard let last = parts.last?.earlier?.step else { return nil }
    return WorkUnit(
      purpose: .recompute, step: last, leafCount: leafCount,
      dueTiers: Set(parts.flatMap(\.shard.tiers)).sorted(), window: true, parts: parts)
  }

  /// The unit that a part stands for: of its own step, if it has one.
  func unit(of part: UnitPart) -> WorkUnit {
    guard let earlier = part.earlier else { return self }
    return WorkUnit(
      purpose: purpose, step: earlier.step, leafCount: leafCount, dueTiers: part.shard.tiers, window: window)
  }

  /// A step or an evaluation, whose losses add up to its own; the others bring what windows lack.
  public var hasLoss: Bool { purpose == .train || purpose == .evaluate }
}

/// A shard that is not cut by the planner.
public struct UnitPart: Sendable, Hashable {
  public let shard: Shard
  /// The only worker that has it; nil: any can compute it. If that worker cannot give it, the unit goes without.
  public let worker: Int?
  public let windows: [WindowOrder]
  /// What it is compared with; whoever said that does not compute it. If nobody else is there, the unit goes without.
  public let claims: GradientClaims?
  /// The step that it belongs to, if that is not the unit's; nil for the newest parameters.
  public let earlier: EarlierStep?

  public init(
    shard: Shard, worker: Int? = nil, windows: [WindowOrder] = [], claims: GradientClaims? = nil,
    earlier: EarlierStep? = nil
  ) {
    self.shard = shard
    self.worker = worker
    self.windows = windows
    self.claims = claims
    self.earlier = earlier
  }
}

/// A step whose parameters are kept.
public struct EarlierStep: Sendable, Hashable {
  public let step: Int
  /// By tier.
  public let versions: [TierVersion]

  public init(step: Int, versions: [TierVersion]) {
    self.step = step
    self.versions = versions
  }
}

extension WorkUnit: CustomStringConvertible {
  public var description: String {
    switch purpose {
    case .train: "step \(step)"
    case .evaluate: "the evaluation after step \(step)" + (adapterScale.map { " at scale \($0)" } ?? "")
    case .recompute:
      if let first = parts?.first?.earlier?.step, first < step {
        "steps \(first) to \(step), computed again"
      } else {
        "step \(step), computed again"
      }
    case .collect: "the windows of step \(step)"
    }
  }
}

/// The unit of assignment: an aligned range of a unit's micro-batches, and a set of its tiers.
public struct Shard: Sendable, Hashable {
  public let node: TreeNode
  /// Ascending.
  public let tiers: [Int]

  public init(node: TreeNode, tiers: [Int]) {
    self.node = node
    self.tiers = tiers
  }

  /// For error messages: names step, micro-batches and tiers.
  public func name(in unit: WorkUnit) -> String {
    let leaves = node.leaves(count: unit.leafCount)
    let range =
      leaves.count == 1
      ? "micro-batch \(leaves.lowerBound)" : "micro-batches \(leaves.lowerBound)–\(leaves.upperBound - 1)"
    let tiers = unit.purpose == .evaluate ? "" : ", tiers \(self.tiers)"
    return "\(range) of \(unit)\(tiers)"
  }
}

/// One hand-out of a shard to a worker.
public struct Assignment: Sendable, Hashable {
  public let attempt: Int
  public let unit: WorkUnit
  public let shard: Shard
  /// For every tier the version to compute with.
  public let versions: [Int]
  /// Whether digests of the gradients are enough, as for comparing them.
  public let digestOnly: Bool
  /// What becomes of chains, by tier of the shard; empty: gradients are returned one by one.
  public let windows: [WindowOrder]

  public init(
    attempt: Int, unit: WorkUnit, shard: Shard, versions: [Int], digestOnly: Bool = false,
    windows: [WindowOrder] = []
  ) {
    self.attempt = attempt
    self.unit = unit
    self.shard = shard
    self.versions = versions
    self.digestOnly = digestOnly
    self.windows = windows
  }

  /// The micro-batches that it covers.
  var leaves: Range<Int> { shard.node.leaves(count: unit.leafCount) }

  /// Names of the objects that its result must have, each with its length in bytes.
  public func expectedObjects(tierParameterCounts: [Int]) -> [String: Int] {
    guard windows.isEmpty else { return expectedOfWindows(tierParameterCounts: tierParameterCounts) }
    var expected: [String: Int] = [:]
    if unit.measure?.isByMicroBatch == true {
      for leaf in leaves where leaf < unit.trainedTokens.count {
        expected[TierGradient.name(tier: 0, microBatch: leaf)] =
          unit.trainedTokens[leaf] * (unit.sampling?.maxTokens ?? 1) * 4
      }
      return expected
    }
    for tier in shard.tiers where tierParameterCounts.indices.contains(tier) {
      let bytes = tierParameterCounts[tier] * 4
      if unit.window {
        for leaf in shard.node.leaves(count: unit.leafCount) {
          expected[TierGradient.name(tier: tier, microBatch: leaf)] = bytes
        }
      } else {
        expected[TierGradient.name(tier: tier, microBatch: nil)] = bytes
      }
    }
    return expected
  }
}

/// How an attempt ended.
public enum AttemptOutcome: String, Sendable, CaseIterable {
  /// Its result counts.
  case committed
  /// Another attempt's result, of the same bytes, counts.
  case duplicate
  /// It was wanted for comparing, and agrees with the one that counts.
  case verified
  /// Others came to another result, and are more.
  case outvoted
  /// Its result came when its unit was over.
  case stale
  /// Its result was not what was asked for.
  case corrupt
  /// The worker could not compute it.
  case failed
  /// The worker was lost.
  case lost
  /// Its lease ended, and no result came before the worker was given up or the unit was over.
  case expired
  /// Another was faster, the worker left, or the run ended.
  case cancelled
}

/// The end of one hand-out, for the ledger.
public struct EndedAttempt: Sendable, Hashable {
  public let attempt: Int
  public let purpose: Purpose
  public let step: Int
  public let firstMicroBatch: Int
  public let lastMicroBatch: Int
  public let tiers: [Int]
  public let workerID: Int
  public let handedOut: Instant
  public let finished: Instant
  public var outcome: AttemptOutcome
  /// Whether a worker of another identity came to the same bytes. Of chains that came from earlier steps nobody has
  /// then: that is for whoever has them computed again (`WindowAudit`).
  public var verified: Bool

  public var seconds: Double { finished.seconds(since: handedOut) }
}
