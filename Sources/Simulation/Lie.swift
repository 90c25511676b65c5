/// A result that is not what a shard comes to. No two are alike, so that two liars never agree. A wrong gradient goes
/// into the chain that its worker keeps; a wrong chain has right digests of its gradients.
struct Lie: Sendable {
  enum Kind: Sendable, CaseIterable {
    case gradient
    case loss
    case chain
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
    guard kind != .chain else { return }
    guard kind != .loss, let tier, gradients[tier]?.isEmpty == false else {
      loss += Double(kind == .notFinite ? noNumber : amount)
      return
    }
    gradients[tier]?[0] += kind == .notFinite ? noNumber : amount
  }

  /// - Returns: that there was something to change.
  func tamper(with chain: inout [Float]) -> Bool {
    guard !chain.isEmpty else { return false }
    chain[0] += amount
    return true
  }

  /// With bits of its own, which arithmetic hands on.
  private var noNumber: Float { Float(bitPattern: 0x7FC0_0000 | amount.bitPattern & 0x3F_FFFF) }
}
