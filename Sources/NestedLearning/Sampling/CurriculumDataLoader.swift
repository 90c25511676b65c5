/// Batches of rows under a curriculum.
///
/// ```swift
/// var loader = createCurriculumDataloader(
///   difficulties: scores, strategy: try AdaptiveCompetence(initial: 0.2), batchSize: 8, seed: 42)
/// let rows = loader.batch(at: 1)
/// loader.update(accuracy: 0.85)
/// ```
public struct CurriculumDataLoader: Sendable {
  public private(set) var strategy: any CurriculumStrategy
  public let batchSize: Int
  private let sampler: any RowSampler

  public init(sampler: any RowSampler, strategy: any CurriculumStrategy, batchSize: Int) {
    self.sampler = sampler
    self.strategy = strategy
    self.batchSize = max(1, batchSize)
  }

  /// Numbers of the rows of a step (1-based).
  public func batch(at step: Int) -> [Int] {
    sampler.batch(at: step, size: batchSize, in: strategy.range(at: step - 1))
  }

  /// Takes what an evaluation came to, and goes on to the next stage if that is enough for it.
  public mutating func update(accuracy: Double) {
    strategy.update(accuracy: accuracy)
    if strategy.shouldAdvance { strategy.advance() }
  }
}

/// A loader whose batches are drawn from the rows that a curriculum takes, each as likely as the others.
///
/// - Parameters:
///   - difficulties: of each row, from 0 to 1; ranks are made of them where the strategy goes by these
///   - seed: of the draws
public func createCurriculumDataloader(
  difficulties: [Double], strategy: any CurriculumStrategy, batchSize: Int, seed: UInt64
) -> CurriculumDataLoader {
  let shown = strategy.usesRanks ? DifficultyScorer.ranks(difficulties) : difficulties
  return CurriculumDataLoader(
    sampler: UniformSampler(difficulties: shown, seed: seed), strategy: strategy, batchSize: batchSize)
}

/// Loaders of several stages, each with rows and a batch size of its own.
public struct StagedDataLoader: Sendable {
  /// Rows of one stage, and how many make up a batch.
  public struct Loader: Sendable {
    public let name: String
    public let batchSize: Int
    private let sampler: any RowSampler
    private let range: ClosedRange<Double>?

    /// - Parameter range: difficulties that are taken; nil: all.
    public init(
      name: String, sampler: any RowSampler, batchSize: Int, range: ClosedRange<Double>? = nil
    ) {
      self.name = name
      self.sampler = sampler
      self.batchSize = max(1, batchSize)
      self.range = range
    }

    /// Numbers of the rows of a step (1-based), counted over the steps of this stage.
    public func batch(at step: Int) -> [Int] { sampler.batch(at: step, size: batchSize, in: range) }
  }

  private let loaders: [Loader]
  /// From 0.
  public private(set) var stage = 0

  /// - Throws: `SamplingError` if there is none.
  public init(_ loaders: [Loader]) throws(SamplingError) {
    guard !loaders.isEmpty else { throw SamplingError("there is no stage") }
    self.loaders = loaders
  }

  public var currentLoader: Loader { loaders[stage] }

  /// Goes on to the next stage.
  ///
  /// - Returns: whether there was one.
  @discardableResult public mutating func advanceStage() -> Bool {
    guard stage + 1 < loaders.count else { return false }
    stage += 1
    return true
  }
}
