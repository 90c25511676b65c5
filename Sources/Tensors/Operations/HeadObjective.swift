import Kernels

/// What is wanted of one token: how its loss counts.
public struct TokenObjective: Sendable, Equatable {
  /// The token to predict.
  public var label: Int32
  /// Factor of the cross entropy with it.
  public var hard: Float
  /// Factor of the cross entropy with the base's distribution, Σ −p_b log p.
  public var soft: Float
  /// Whether the base's distribution is wanted, were it only to be told how far this one is from it.
  public var needsBase: Bool
  /// Whether `hard` is multiplied by the entropy of the 20 likeliest tokens, over ln 20 (EAFT, arXiv 2601.02151).
  public var byEntropy: Bool

  public init(
    label: Int32, hard: Float = 1, soft: Float = 0, needsBase: Bool = false, byEntropy: Bool = false
  ) {
    self.label = label
    self.hard = hard
    self.soft = soft
    self.needsBase = needsBase || soft != 0
    self.byEntropy = byEntropy
  }
}

/// What became of one token, in nats.
public struct TokenOutcome: Sendable, Equatable {
  /// −log p(label)
  public let loss: Double
  /// Σ −p_b log p; 0 without a base.
  public let softLoss: Double
  /// KL(p_b ‖ p); 0 without a base.
  public let divergence: Double
  /// What `hard` was multiplied by.
  public let weight: Float
}

extension Tape {
  /// The gradient of Σ hard·w·ℓ + soft·H(p_b, p) over all rows, and what each came to.
  ///
  /// As ``crossEntropy(_:head:labels:)`` otherwise; with factors of 1 and 0 it is that, to the bit.
  ///
  /// - Parameters:
  ///   - x: [T, n]
  ///   - base: the base model's hidden states of those tokens that need it, in their order, and its head.
  public func objective(
    _ x: Variable, head: Matrix, base: Head?, tokens: [TokenObjective]
  ) throws(TensorError) -> [TokenOutcome] {
    let n = head.columns
    precondition(x.shape == [tokens.count, n], "hidden states \(x.shape) for \(tokens.count) tokens")
    precondition(
      tokens.allSatisfy { 0 <= $0.label && $0.label < head.rows }, "a label outside the vocabulary")
    let based = tokens.count(where: \.needsBase)
    precondition(base.map { $0.x.tensor.rows == based && $0.matrix.rows <= head.rows } ?? (based == 0))
    let needed = x.needsGradient || head.gradient != nil
    let dx = x.needsGradient ? try memory.tensor(x.shape) : nil
    let most = min(tokens.count, Self.headChunk)
    let logits = try memory.tensor([most, head.rows])
    let others = try base.map { (base) throws(TensorError) in
      (
        logits: try memory.tensor([most, base.matrix.rows]),
        gaps: try memory.tensor([most, base.matrix.rows])
      )
    }
    var outcomes: [nl_token_outcome] = []
    var seen = 0
    for start in stride(from: 0, to: tokens.count, by: Self.headChunk) {
      let rows = start..<min(start + Self.headChunk, tokens.count)
      multiply((x, head), rows, into: logits)
      let wanted = Self.wanted(tokens[rows])
      let count = wanted.count { $0.base >= 0 }
      if let base, let others, count > 0 { multiply(base, seen..<seen + count, into: others.logits) }
      seen += count
      outcomes += outcome(of: logits, wanted, others, gradient: needed)
      try addGradients(of: logits, rows, x, head, dx)
    }
    if let dx { try x.gradient?.add(dx, on: self) }
    return outcomes.map {
      TokenOutcome(loss: $0.loss, softLoss: $0.soft_loss, divergence: $0.divergence, weight: $0.weight)
    }
  }

  private static func wanted(_ tokens: ArraySlice<TokenObjective>) -> [nl_token_objective] {
    var base: Int32 = 0
    return tokens.map { token in
      defer { if token.needsBase { base += 1 } }
      return nl_token_objective(
        label: token.label, base: token.needsBase ? base : -1, hard: token.hard, soft: token.soft,
        by_entropy: token.byEntropy)
    }
  }

  private func outcome(
    of logits: Tensor, _ wanted: [nl_token_objective], _ others: (logits: Tensor, gaps: Tensor)?,
    gradient: Bool
  ) -> [nl_token_outcome] {
    var outcomes = [nl_token_outcome](repeating: nl_token_outcome(), count: wanted.count)
    withExtendedLifetime((logits, others)) {
      nl_objective(
        threads.handle, wanted.count, logits.columns, logits.pointer, others?.logits.columns ?? 0,
        others?.logits.pointer, others?.gaps.pointer, wanted, &outcomes, gradient)
    }
    return outcomes
  }
}
