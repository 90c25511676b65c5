/// A result that is not what a shard comes to. No two are alike, so that two liars never agree. Chains of windows are
/// kept and returned as they have become by it: a wrong chain under right digests of its gradients takes the coordinator's
/// own arithmetic to be found, which is not simulated.
struct Lie: Sendable {
  enum Kind: Sendable, CaseIterable {
    case gradient
    case loss
    case notFinite
  }

  let kind: Kind
  let amount: Float

  init(kind: Kind, using random: inout SplitMix64) {
    self.kind = kind
    amount = Float.random(in: 1...2, using: &random)
  }

  /// - Parameter tier: the first of the shard; nil if no gradient is wanted of it.
  func tell(_ loss: inout Double, _ gradients: inout [Int: [Float]], tier: Int?) {
    guard kind != .loss, let tier, gradients[tier]?.isEmpty == false else {
      loss += Double(kind == .notFinite ? noNumber : amount)
      return
    }
    gradients[tier]?[0] += kind == .notFinite ? noNumber : amount
  }

  /// With bits of its own, which arithmetic hands on.
  private var noNumber: Float { Float(bitPattern: 0x7FC0_0000 | amount.bitPattern & 0x3F_FFFF) }
}
