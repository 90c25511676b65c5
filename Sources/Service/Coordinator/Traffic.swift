import Coordination
import JSON
import NestedLearning
import WireProtocol

/// Bytes of parameters and gradients that passed between the coordinator and its workers since the last step, by tier.
/// Loss, tokens and the like are not counted, nor is what comes twice.
struct Traffic: Sendable, Equatable {
  struct Tier: Sendable, Equatable {
    /// Down: parameters, and chains of windows for workers that go on from them.
    var parametersDown = 0
    var chainsDown = 0
    /// Up: what an update was made of, copies of chains, and single gradients or chains that were fetched because a
    /// worker was lost or another computed in its stead.
    var boundaryUp = 0
    var flushUp = 0
    var otherUp = 0
  }

  var tiers: [Tier]

  init(tierCount: Int) { tiers = Array(repeating: Tier(), count: tierCount) }

  /// Counts a result that is kept.
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
  var json: JSONValue {
    [
      "parameters_down": .numbers(tiers.map(\.parametersDown)),
      "chains_down": .numbers(tiers.map(\.chainsDown)),
      "boundary_up": .numbers(tiers.map(\.boundaryUp)), "flush_up": .numbers(tiers.map(\.flushUp)),
      "other_up": .numbers(tiers.map(\.otherUp)),
    ]
  }
}
