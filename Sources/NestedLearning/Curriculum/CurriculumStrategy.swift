/// Which rows are taken when, by their difficulty.
///
/// A strategy is a value: what it has taken of evaluations by ``update(accuracy:)`` is all that changes in it, so that the
/// same evaluations bring it to the same place. Steps are counted from 0 here: `step` are done.
public protocol CurriculumStrategy: Sendable {
  /// The difficulty, from 0 to 1, up to which rows are taken.
  func threshold(at step: Int) -> Double
  /// The difficulties that are taken; from 0 up to the threshold unless a strategy says otherwise.
  func range(at step: Int) -> ClosedRange<Double>
  /// The numbers, ascending, of the rows that may be taken.
  ///
  /// - Parameter difficulties: of each row, from 0 to 1; where ``usesRanks`` holds these are
  ///   ``DifficultyScorer/ranks(_:)``.
  func selectExamples(_ difficulties: [Double], at step: Int) -> [Int]
  /// Takes what an evaluation came to.
  ///
  /// - Parameter accuracy: share of trained tokens whose likeliest token is right, from 0 to 1
  mutating func update(accuracy: Double)
  /// Whether what was learned is enough for the next stage; false of a strategy that has none.
  var shouldAdvance: Bool { get }
  /// Goes on to the next stage, if there is one.
  mutating func advance()
  /// From 0; nil of a strategy without stages.
  var stage: Int? { get }
  /// The base learning rate at present; nil: that of the run.
  var learningRate: Double? { get }
  /// Whether a row's difficulty is its rank among all, the share of rows that are no more difficult.
  var usesRanks: Bool { get }
  /// Whether evaluations change what is taken.
  var followsEvaluations: Bool { get }
}

extension CurriculumStrategy {
  public func range(at step: Int) -> ClosedRange<Double> { 0...threshold(at: step) }

  public func selectExamples(_ difficulties: [Double], at step: Int) -> [Int] {
    let range = range(at: step)
    return difficulties.indices.filter { range.contains(difficulties[$0]) }
  }

  public mutating func update(accuracy: Double) {}
  public var shouldAdvance: Bool { false }
  public mutating func advance() {}
  public var stage: Int? { nil }
  public var learningRate: Double? { nil }
  public var usesRanks: Bool { false }
  public var followsEvaluations: Bool { false }
}

/// How many trained tokens of an evaluation a model got right.
public struct EvaluatedAccuracy: Sendable, Equatable {
  /// The step after which it took place.
  public let step: Int
  /// Tokens whose likeliest token, of equals the one with the lowest id, is the label.
  public let correct: Int
  public let tokens: Int

  public init(step: Int, correct: Int, tokens: Int) {
    self.step = step
    self.correct = correct
    self.tokens = tokens
  }

  public var share: Double { Double(correct) / Double(max(1, tokens)) }
}

extension CurriculumStrategy {
  /// As it is for a step (1-based) after all evaluations before it: a function of these and of nothing else.
  public func before(step: Int, _ evaluations: [EvaluatedAccuracy]) -> Self {
    var strategy = self
    for evaluation in evaluations where evaluation.step < step {
      strategy.update(accuracy: evaluation.share)
      if strategy.shouldAdvance { strategy.advance() }
    }
    return strategy
  }
}
