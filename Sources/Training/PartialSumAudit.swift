import Coordination
import Digests
import NestedLearning
import WireProtocol

/// Adds up what a worker says that it has added up. Its gradients come from others here, and have the digests that it
/// gave of its own: so if the sums differ, its sum is wrong by its own word.
package struct PartialSumAudit: Sendable {
  package enum Verdict: Sendable, Equatable {
    case right
    case wrong(String)
    /// Nobody else was there to compute what it takes.
    case unknown
  }

  private let audits: [WindowAudit]
  private let microBatchCount: Int
  private var sums: [WindowKey: [Float]] = [:]
  /// The step through which a sum has come.
  private var through: [WindowKey: Int] = [:]

  /// - Parameter chain: one that is here, through exactly this step.
  package init(
    _ audits: [WindowAudit], clock: WindowClock, microBatchCount: Int,
    chain: (WindowKey, Int) -> [Float]?
  ) {
    self.audits = audits
    self.microBatchCount = microBatchCount
    for audited in audits.flatMap(\.chains) {
      let isNew = audited.base < clock.start(tier: audited.key.tier, step: audited.last)
      let values = isNew ? nil : chain(audited.key, audited.base)
      guard isNew || values != nil else { continue }
      sums[audited.key] = values
      through[audited.key] = audited.base
    }
  }

  /// Takes gradients of the next step.
  package mutating func add(_ messages: [ResultMessage], step: Int) throws {
    for gradient in messages.flatMap(\.gradients) {
      guard let microBatch = gradient.microBatch else { continue }
      let key = WindowKey(tier: gradient.tier, microBatch: microBatch)
      guard through[key] == step - 1 else { continue }
      let values = try gradient.values.floats()
      if let count = sums[key]?.count {
        guard count == values.count else {
          throw TrainingError("\(values.count) values came for tier \(key.tier)")
        }
        Vectors.add(values, to: &sums[key, default: []])
      } else {
        sums[key] = values
      }
      through[key] = step
    }
  }

  /// - Parameter sent: what the audits' workers sent.
  package func verdicts(on sent: [UnitResult]) throws -> [Verdict] {
    let messages = Dictionary(sent.map { ($0.message.attempt, $0.message) }, uniquingKeysWith: { $1 })
    return try audits.map { try verdict(on: $0, messages[$0.attempt]) }
  }

  /// - Parameter message: what was sent.
  package func verdict(on audit: WindowAudit, _ message: ResultMessage?) throws -> Verdict {
    guard let message, audit.chains.allSatisfy({ through[$0.key] == $0.last }) else { return .unknown }
    for chain in audit.chains where Digest.sha256(floats: sums[chain.key] ?? []) != chain.sha256 {
      return .wrong(
        reason("chain of tier \(chain.key.tier), micro-batch \(chain.key.microBatch)", chain.last))
    }
    for tier in audit.summed {
      let sum = try ReductionTree.reduce(
        audit.node, count: microBatchCount,
        leaf: { sums[WindowKey(tier: tier, microBatch: $0)] ?? [] }, add: { Vectors.add($1, to: &$0) })
      let sent = message.gradients.first { $0.tier == tier && $0.microBatch == nil }
      guard sent?.values.sha256 == Digest.sha256(floats: sum) else {
        return .wrong(reason("sum of tier \(tier)", audit.chains.first?.last ?? 0))
      }
    }
    return .right
  }

  private func reason(_ what: String, _ step: Int) -> String {
    "its \(what) up to step \(step) is not what its gradients add up to"
  }
}
