import Kernels

/// How well a model predicts the tokens at some places.
public struct TokenScores: Sendable, Equatable {
  /// −log p(label) of each place, in nats.
  public var losses: [Double] = []
  /// Places whose likeliest token, of equals the one with the lowest id, is the label.
  public var correct = 0
  /// KL(p_base ‖ p) of each place, in nats; empty if there is no base to compare with.
  public var divergences: [Double] = []

  public init() {}
}

extension Tape {
  /// Hidden states at some places, [T, n], and the matrix that makes logits of them, [vocabulary, n].
  public typealias Head = (x: Variable, matrix: Matrix)

  /// Rows whose logits exist at a time; it has no influence on the scores.
  private static let scoredRows = 64

  /// Scores the logits x·headᵀ of T places against their labels, and against the distributions of a base model.
  ///
  /// The losses are those of ``crossEntropy(_:head:labels:)``. With p_b = softmax(b) of the base's logits b, and z those
  /// of the model, KL(p_b ‖ p) = Σ p_b·(b − z) − log Σ e^b + log Σ e^z over the base's vocabulary, which may be the
  /// shorter one; added up in Double, ids ascending. Logits exist for some rows only. Every label must be a row of the
  /// head; both hidden states are for the same places.
  public func scores(_ own: Head, base: Head? = nil, labels: [Int32]) throws(TensorError) -> TokenScores {
    precondition(
      own.x.shape == [labels.count, own.matrix.columns], "\(own.x.shape) for \(labels.count) labels")
    precondition(labels.allSatisfy { 0 <= $0 && $0 < own.matrix.rows }, "a label outside the vocabulary")
    precondition(base.map { $0.x.tensor.rows == labels.count && $0.matrix.rows <= own.matrix.rows } ?? true)
    var scores = TokenScores()
    let most = min(labels.count, Self.scoredRows)
    let logits = try memory.tensor([most, own.matrix.rows])
    let others = try base.map { (base) throws(TensorError) in
      (
        logits: try memory.tensor([most, base.matrix.rows]),
        gaps: try memory.tensor([most, base.matrix.rows])
      )
    }
    for start in stride(from: 0, to: labels.count, by: Self.scoredRows) {
      let rows = start..<min(start + Self.scoredRows, labels.count)
      multiply(own, rows, into: logits)
      var expected: [Double] = []
      if let base, let others {
        multiply(base, rows, into: others.logits)
        expected = expectedGaps(others.logits, logits, rows.count, gaps: others.gaps)
      }
      let chunk = Array(labels[rows])
      let atLabels = values(of: logits, at: chunk)
      scores.correct += zip(likeliest(logits, rows: rows.count), chunk).count { $0 == $1 }
      let losses = crossEntropies(logits, labels: chunk, leavesGradient: false)
      scores.losses += losses
      for (row, gap) in expected.enumerated() {
        scores.divergences.append(gap + (losses[row] + atLabels[row]))
      }
    }
    return scores
  }

  func multiply(_ head: Head, _ rows: Range<Int>, into logits: Tensor) {
    let n = head.matrix.columns
    withExtendedLifetime((head.x, head.matrix, logits)) {
      precision(with: head.matrix).multiply(
        threads.handle, rows.count, head.matrix.rows, n, head.x.tensor.pointer + rows.lowerBound * n, n, 1,
        head.matrix.start, head.matrix.type, 1, n, logits.pointer, head.matrix.rows, false)
    }
  }

  /// Σ p_b·(b − z) − log Σ e^b of each row, ids ascending; takes b apart.
  private func expectedGaps(_ base: Tensor, _ logits: Tensor, _ rows: Int, gaps: Tensor) -> [Double] {
    let (n, stride) = (base.columns, logits.columns)
    // The kernel leaves softmax − onehot(label) in the place of logits; with any label the rest is the same.
    let labels = [Int32](repeating: 0, count: rows)
    let first = values(of: base, at: labels)
    base.withValues { base in
      logits.withValues { logits in
        gaps.withMutableValues { gaps in
          for row in 0..<rows {
            for i in 0..<n { gaps[row * n + i] = base[row * n + i] - logits[row * stride + i] }
          }
        }
      }
    }
    let losses = crossEntropies(base, labels: labels, leavesGradient: true)
    return base.withValues { shares in
      gaps.withValues { gaps in
        (0..<rows).map { row in
          var sum = Double(gaps[row * n])
          for i in row * n..<(row + 1) * n { sum += Double(shares[i]) * Double(gaps[i]) }
          return sum - (losses[row] + first[row])
        }
      }
    }
  }

  /// One logit of each row.
  private func values(of logits: Tensor, at ids: [Int32]) -> [Double] {
    logits.withValues { values in
      ids.enumerated().map { Double(values[$0.offset * logits.columns + Int($0.element)]) }
    }
  }

  /// Of each row the id with the largest logit, the lowest of equals.
  private func likeliest(_ logits: Tensor, rows: Int) -> [Int32] {
    let n = logits.columns
    return logits.withValues { values in
      (0..<rows).map { row in
        var (best, most) = (0, values[row * n])
        for i in 1..<max(n, 1) where values[row * n + i] > most { (best, most) = (i, values[row * n + i]) }
        return Int32(best)
      }
    }
  }

  private func crossEntropies(_ logits: Tensor, labels: [Int32], leavesGradient: Bool) -> [Double] {
    var losses = [Double](repeating: 0, count: labels.count)
    withExtendedLifetime(logits) {
      nl_cross_entropy(
        threads.handle, labels.count, logits.columns, logits.pointer, labels, &losses, leavesGradient)
    }
    return losses
  }
}
