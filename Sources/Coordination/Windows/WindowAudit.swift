import NestedLearning
import WireProtocol

/// What a worker has said of gradients that another is to compute again, to compare: an opinion, as it were, that came
/// before.
public struct GradientClaims: Sendable, Hashable {
  public let worker: Int
  /// Whose worker it is; it is not to compute them itself.
  public let identity: String
  /// By the gradient's name.
  public let digests: [String: String]

  /// Whether a result says otherwise.
  func contradict(_ result: ResultSummary) -> Bool {
    let word = result.word
    return digests.contains { word[$0.key] != $0.value }
  }
}

/// Chains that came from a worker, alone or as a sum, and were chosen by lot: everything that was added to them since
/// they were last here is computed again by others, and added up here.
public struct WindowAudit: Sendable, Hashable {
  public struct PartialSum: Sendable, Hashable {
    public let key: WindowKey
    /// It was here through this step before; nothing of it, if `last` is in the window that begins behind it.
    public let base: Int
    public let last: Int
    /// SHA-256 of the chain, as its worker says.
    public let sha256: String
    /// By step from `base` + 1 to `last`: SHA-256 of what was added, as its worker says.
    public let gradients: [Int: String]
  }

  /// The attempt that brought them.
  public let attempt: Int
  public let worker: Int
  public let identity: String
  public let node: TreeNode
  public let chains: [PartialSum]
  /// Tiers of which the sum over the node's chains came instead of the chains.
  public let summed: [Int]

  /// The steps that have to be computed again, ascending.
  public var steps: [Int] { Set(chains.flatMap { $0.gradients.keys }).sorted() }
}

extension WindowAudit {
  /// Units in which others compute again, with each step's own parameters, what audits ask for: one after the other,
  /// ascending by step, none of more micro-batches than one step has, unless a step alone is.
  ///
  /// - Parameter versions: those of a step; nil if they are not kept, and then it cannot be computed.
  public static func units(
    of audits: [WindowAudit], microBatchCount count: Int, versions: (Int) -> [TierVersion]?
  ) -> [WorkUnit] {
    var groups: [[UnitPart]] = []
    for step in Set(audits.flatMap(\.steps)).sorted() {
      guard let versions = versions(step) else { continue }
      let parts = audits.flatMap { $0.parts(of: EarlierStep(step: step, versions: versions)) }
      if let last = groups.last, last.count + parts.count <= count {
        groups[groups.count - 1] += parts
      } else {
        groups.append(parts)
      }
    }
    return groups.compactMap { .again($0, leafCount: count) }
  }

  private func parts(of earlier: EarlierStep) -> [UnitPart] {
    let concerned = chains.filter { $0.gradients[earlier.step] != nil }
    let byMicroBatch = Dictionary(grouping: concerned, by: \.key.microBatch)
    return byMicroBatch.sorted { $0.key < $1.key }.map { microBatch, chains in
      let digests = chains.map { chain in
        (
          TierGradient.name(tier: chain.key.tier, microBatch: microBatch),
          chain.gradients[earlier.step] ?? ""
        )
      }
      return UnitPart(
        shard: Shard(node: TreeNode(level: 0, index: microBatch), tiers: chains.map(\.key.tier).sorted()),
        claims: GradientClaims(
          worker: worker, identity: identity,
          digests: Dictionary(digests, uniquingKeysWith: { first, _ in first })),
        earlier: earlier)
    }
  }
}

extension ShardScheduler {
  /// The chains of a complete unit that are to be checked: of the shards that are chosen by lot, so that no worker can
  /// know before it has sent them. To be asked before the book takes the unit's results.
  func audits(of unit: OpenUnit) -> [WindowAudit] {
    guard let windows, settings.verifyFraction > 0 else { return [] }
    return unit.shards.compactMap { progress in
      guard check(of: progress.shard, in: progress.unit) != .none, let (opinion, payload) = progress.counted,
        let sender = opinion.votes.first(where: { $0.attempt.number == payload })
      else { return nil }
      return windows.audit(of: sender)
    }
  }

  /// Whether a worker of this identity has come to a wrong result.
  public func isQuarantined(_ identity: String) -> Bool { voided.contains(identity) }
}

extension WindowTracker {
  /// What there is to check in a result; nil if it brings no chains, or none of whose gradients all are known.
  func audit(of vote: Vote) -> WindowAudit? {
    let assignment = vote.attempt.assignment
    guard assignment.returnsChains else { return nil }
    let reports = vote.summary.windows.byKey
    var chains: [WindowAudit.PartialSum] = []
    for (key, order, returns) in assignment.chainOrders where order.keepsChain && returns != .none {
      guard let report = reports[key], let sha256 = report.chain else { return nil }
      let held = chain(key.tier, key.microBatch, at: report.last)
      let base = held?.through ?? clock.start(tier: key.tier, step: report.last) - 1
      guard base < report.last else { continue }
      var gradients = held?.entries.mapValues(\.gradient) ?? [:]
      if let gradient = report.gradient { gradients[report.last] = gradient }
      gradients = gradients.filter { base < $0.key && $0.key <= report.last }
      guard gradients.count == report.last - base else { return nil }
      chains.append(
        WindowAudit.PartialSum(key: key, base: base, last: report.last, sha256: sha256, gradients: gradients))
    }
    guard !chains.isEmpty else { return nil }
    return WindowAudit(
      attempt: vote.attempt.number, worker: vote.attempt.workerID, identity: vote.attempt.identity,
      node: assignment.shard.node, chains: chains,
      summed: assignment.windows.filter { $0.returns == .sum }.map(\.tier))
  }
}
