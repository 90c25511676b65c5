import Coordination
import JSON
import NestedLearning
import WireProtocol

/// Bytes of parameters and gradients that passed between the coordinator and its workers since the last step, by tier.
/// Loss, tokens and the like are not counted, nor is what comes twice.
package struct Traffic: Sendable, Equatable {
  package struct Tier: Sendable, Equatable {
    /// Down: parameters, and chains of windows for workers that go on from them.
    package var parametersDown = 0
    package var chainsDown = 0
    /// Up: what an update was made of, copies of chains, and single gradients or chains that were fetched because a
    /// worker was lost or another computed in its stead.
    package var boundaryUp = 0
    package var flushUp = 0
    package var otherUp = 0
  }

  package private(set) var tiers: [Tier]

  package init(tierCount: Int) { tiers = Array(repeating: Tier(), count: tierCount) }

  /// Counts what went to a worker.
  mutating func count(_ bytes: SentBytes) {
    guard tiers.indices.contains(bytes.tier) else { return }
    switch bytes.kind {
    case .parameters: tiers[bytes.tier].parametersDown += bytes.count
    case .partialSums: tiers[bytes.tier].chainsDown += bytes.count
    }
  }

  /// Counts a result that is used.
  mutating func count(_ message: ResultMessage, of unit: WorkUnit, clock: WindowClock) {
    func note(_ tier: Int, _ bytes: Int) {
      guard tiers.indices.contains(tier) else { return }
      if unit.purpose == .train && clock.isBoundary(tier: tier, step: unit.step) {
        tiers[tier].boundaryUp += bytes
      } else if unit.purpose == .train && unit.isFlush {
        tiers[tier].flushUp += bytes
      } else {
        tiers[tier].otherUp += bytes
      }
    }
    for gradient in message.gradients { note(gradient.tier, gradient.values.byteCount) }
    for chain in message.chains { note(chain.tier, chain.values.byteCount) }
  }

  /// For a row of the metrics: lists by tier.
  package var json: JSONValue {
    [
      "parameters_down": .numbers(tiers.map(\.parametersDown)),
      "chains_down": .numbers(tiers.map(\.chainsDown)),
      "boundary_up": .numbers(tiers.map(\.boundaryUp)), "flush_up": .numbers(tiers.map(\.flushUp)),
      "other_up": .numbers(tiers.map(\.otherUp)),
    ]
  }
}
