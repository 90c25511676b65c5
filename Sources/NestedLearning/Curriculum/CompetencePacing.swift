/// Competence that grows with the steps alone (Platanios et al. 2019, arXiv 1903.09848), from c₀ to 1 in T steps:
/// linear min(1, t(1 − c₀)/T + c₀), or square root min(1, √(t(1 − c₀²)/T + c₀²)). Rows whose rank is at most the competence
/// are taken, each as likely as the others.
public struct CompetencePacing: CurriculumStrategy, Equatable {
  public enum Shape: String, Sendable, CaseIterable { case linear, sqrt }

  public let shape: Shape
  /// c₀
  public let initial: Double
  /// T
  public let steps: Int
  /// Before that; the competence is c₀ meanwhile.
  public let warmup: Int

  /// - Throws: `CurriculumError` unless c₀ is from 0 to 1.
  public init(
    _ shape: Shape, initial: Double = 0.01, steps: Int, warmup: Int = 0
  ) throws(CurriculumError) {
    try CurriculumError.check(initial: initial, final: 1)
    self.shape = shape
    self.initial = initial
    self.steps = max(1, steps)
    self.warmup = max(0, warmup)
  }

  public func threshold(at step: Int) -> Double {
    let t = Double(max(0, step - warmup))
    // Rounding may leave either of them one unit short of 1 at the end.
    guard t < Double(steps) else { return 1 }
    switch shape {
    case .linear: return min(1, t * (1 - initial) / Double(steps) + initial)
    case .sqrt:
      // The root of c₀² may come out below c₀.
      let square = t * (1 - initial * initial) / Double(steps) + initial * initial
      return min(1, max(initial, square.squareRoot()))
    }
  }

  public var usesRanks: Bool { true }
}

/// Competence that follows the accuracy of evaluations: above target + .1 it rises by 2δ, above the target by δ, below
/// target − .2 it falls by δ, always within [0, 1]. Rows up to that difficulty are taken.
///
/// It moves once `patience` evaluations in a row agree that it should rise, or that it should fall, by what all of them
/// agree on: the least of their changes. Then they are counted anew.
public struct AdaptiveCompetence: CurriculumStrategy, Equatable {
  public private(set) var competence: Double
  public let target: Double
  /// δ
  public let delta: Double
  public let patience: Int
  /// Changes that evaluations in a row have asked for, in one direction, in units of δ.
  private var pending: [Int] = []

  /// - Throws: `CurriculumError` unless `initial` and `target` are from 0 to 1.
  public init(
    initial: Double, target: Double = 0.7, delta: Double = 0.05, patience: Int = 3
  ) throws(CurriculumError) {
    try CurriculumError.check(initial: initial, final: 1)
    guard (0...1).contains(target) else {
      throw CurriculumError("target", "is \(target), and an accuracy is from 0 to 1", "set it to .7, for one")
    }
    competence = initial
    self.target = target
    self.delta = max(0, delta)
    self.patience = max(1, patience)
  }

  public func threshold(at step: Int) -> Double { competence }

  public mutating func update(accuracy: Double) {
    let change = change(accuracy)
    if let last = pending.last, last.signum() != change.signum() { pending = [] }
    guard change != 0 else {
      pending = []
      return
    }
    pending.append(change)
    guard pending.count >= patience else { return }
    let agreed = pending.map(\.magnitude).min() ?? 0
    competence = min(1, max(0, competence + Double(change.signum() * Int(agreed)) * delta))
    pending = []
  }

  private func change(_ accuracy: Double) -> Int {
    if accuracy > target + 0.1 { return 2 }
    if accuracy > target { return 1 }
    return accuracy < target - 0.2 ? -1 : 0
  }

  public var followsEvaluations: Bool { true }
}
