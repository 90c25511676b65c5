/// The slower copies of all parameters, θ₁ … θ_{K−1}, of `tier_mode: consolidate`. θ₀ is what every step updates.
///
/// After the update of step t, for k = 1 … K−1 ascending, if t mod f_k = 0: θ_k += α_k(θ_{k−1} − θ_k), and every faster
/// copy goes on from θ_k. Before that the slowest goes back a part β of its way from where training began:
/// θ_{K−1} += β(θ_start − θ_{K−1}). Each operation is rounded to f32 by itself. With two copies this is Lookahead (Zhang
/// et al., 2019, arXiv 1907.08610).
public struct Consolidation: Sendable, Equatable {
  /// f, of all K copies; f₀ = 1, and each is a multiple of the one before.
  public let frequencies: [Int]
  private let shares: [Float]
  private let anchor: Float
  private let momentsRule: ConsolidateMoments
  /// θ₁ … θ_{K−1}, by parameter.
  public private(set) var copies: [[String: [Float]]]
  /// m and v of each of them, by parameter; empty unless they follow.
  private(set) var moments: [[String: NestedAdam.Moments]]
  /// θ_start, by parameter; empty without an anchor.
  let start: [String: [Float]]

  /// - Parameters:
  ///   - copies: θ₁ … θ_{K−1}
  ///   - moments: of each of these; ignored unless they follow
  ///   - start: ignored without an anchor
  init(
    config: NestedLearningConfig, copies: [[String: [Float]]], moments: [[String: NestedAdam.Moments]],
    start: [String: [Float]]
  ) {
    frequencies = config.tierUpdateFrequencies
    shares = config.consolidationShares.map { Float($0) }
    anchor = Float(config.anchor)
    momentsRule = config.consolidateMoments
    self.copies = copies
    self.moments = Self.followMoments(config) ? moments : []
    self.start = config.anchor > 0 ? start : [:]
  }

  /// Before step 1: all copies are where training begins, and their moments zero.
  init(config: NestedLearningConfig, parameters: [String: [Float]], moments: [String: NestedAdam.Moments]) {
    let slower = max(0, config.numTiers - 1)
    self.init(
      config: config, copies: Array(repeating: parameters, count: slower),
      moments: Array(repeating: moments, count: slower), start: parameters)
  }

  static func followMoments(_ config: NestedLearningConfig) -> Bool {
    config.consolidateMoments == .interpolate && config.optimizer != .sgd
  }

  /// How many updates the bias of Adam's moments is corrected for after a step.
  static func correctedUpdates(_ config: NestedLearningConfig, step: Int) -> Int {
    guard config.tierMode == .consolidate, config.consolidateMoments == .reset, config.numTiers > 1 else {
      return step
    }
    return step % config.tierUpdateFrequencies[1]
  }

  /// θ_{K−1}: what is evaluated, and what a run comes to. Nil if there is one copy alone.
  public var slowest: [String: [Float]]? { copies.last }

  /// The copies that follow after a step, ascending.
  public static func boundaries(_ frequencies: [Int], step: Int) -> [Int] {
    frequencies.indices.dropFirst().filter { step % frequencies[$0] == 0 }
  }

  /// The last step, up to this one, after which the slowest copy followed; 0 before the first.
  public static func lastBoundary(_ frequencies: [Int], upTo step: Int) -> Int {
    step - step % max(1, frequencies.last ?? 1)
  }

  /// Has the copies follow that are due after a step.
  ///
  /// - Parameter parameters: θ₀, and afterwards what it goes on from.
  /// - Returns: the copies that followed, ascending.
  mutating func follow(
    step: Int, parameters: inout [String: [Float]], optimizer: inout NestedAdam
  ) -> [Int] {
    let due = Self.boundaries(frequencies, step: step)
    guard let highest = due.last else { return [] }
    for level in due {
      let faster = level == 1 ? parameters : copies[level - 2]
      for (name, values) in faster { follow(values, level: level, name) }
      for copy in 0..<level - 1 { copies[copy] = copies[level - 1] }
      parameters = copies[level - 1]
    }
    moveMoments(of: &optimizer, highest: highest)
    return due
  }

  private mutating func follow(_ faster: [Float], level: Int, _ name: String) {
    Vectors.move(&copies[level - 1][name, default: []], towards: faster, share: shares[level - 1])
    if level == frequencies.count - 1, let start = start[name] {
      Vectors.move(&copies[level - 1][name, default: []], towards: start, share: anchor)
    }
  }

  private mutating func moveMoments(of optimizer: inout NestedAdam, highest: Int) {
    switch momentsRule {
    case .keep: break
    case .reset: optimizer.resetMoments()
    case .interpolate:
      guard !moments.isEmpty else { return }
      for (name, fast) in optimizer.moments {
        guard var slow = moments[highest - 1][name] else { continue }
        Vectors.move(&slow.mean, towards: fast.mean, share: shares[highest - 1])
        Vectors.move(&slow.square, towards: fast.square, share: shares[highest - 1])
        optimizer.setMoments(slow, of: name)
        for level in 0..<highest { moments[level][name] = slow }
      }
    }
  }
}
