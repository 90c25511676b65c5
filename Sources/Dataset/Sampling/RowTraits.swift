import NestedLearning

/// What is known of the rows of a task beyond their tokens, as far as the config's way of taking them asks for it: a number,
/// or a name, for each row.
public struct RowTraits: Sendable {
  /// From 0 to 1; ranks where the curriculum goes by these.
  public private(set) var difficulties: [Double]?
  private(set) var weights: [Int]?
  private(set) var labels: [String]?
  private(set) var domains: [String]?

  /// Of a config that takes rows as they come.
  public init() {}

  /// - Parameter confidences: [rows]: the mean probability that the model gave the row's trained tokens before training,
  ///   where the config needs it
  /// - Throws: `DataError` with file, line and key for a row that lacks what is asked for
  public init(of rows: RowSet, config: NestedLearningConfig, confidences: [Double] = []) throws {
    if let key = config.samplingWeightField, config.samplingMode == .importance {
      weights = try RowField.weights(of: rows, key: key)
    }
    if let key = config.samplingBalanceField, config.samplingMode == .balanced {
      labels = try RowField.labels(of: rows, key: key, namedBy: "sampling_balance_field")
    }
    if let key = config.samplingDomainField, config.samplingMode == .length {
      domains = try RowField.labels(of: rows, key: key, namedBy: "sampling_domain_field")
    }
    guard config.usesDifficulty else { return }
    let scores = Self.scores(of: rows, kind: config.samplingDifficulty, confidences)
    let usesRanks = try Self.curriculum(config)?.usesRanks ?? false
    difficulties = usesRanks ? DifficultyScorer.ranks(scores) : scores
  }

  private static func scores(
    of rows: RowSet, kind: DifficultyScorer.Kind, _ confidences: [Double]
  ) -> [Double] {
    var rarities: [Double] = []
    if kind != .length {
      var rarity = TokenRarity()
      for row in rows { rarity.add(row.ids) }
      rarities = rows.map { rarity.rarity(of: $0.ids) }
    }
    return DifficultyScorer(kind: kind).scores(
      lengths: rows.indices.map(rows.length), rarities: rarities, confidences: confidences)
  }

  /// The curriculum of a config.
  static func curriculum(_ config: NestedLearningConfig) throws(DataError) -> (any CurriculumStrategy)? {
    do throws(CurriculumError) { return try config.curriculum() } catch {
      throw DataError(
        file: "config", key: "curriculum_\(error.name)", reason: error.reason, remedy: error.remedy)
    }
  }
}

extension RowTraits {
  /// What takes the rows of a task, one by one.
  ///
  /// - Throws: `DataError` if there is nothing to take
  func sampler(of rows: RowSet, _ config: NestedLearningConfig) throws(DataError) -> any RowSampler {
    let (shuffle, seed) = (config.shuffle, config.seed)
    switch config.samplingMode {
    case .shuffle, .length:
      guard let difficulties else { return try RowOrder(rows: rows, shuffle: shuffle, seed: seed) }
      return UniformSampler(difficulties: difficulties, seed: seed)
    case .difficulty:
      let range = config.samplingRange
      let taken = rows.indices.filter { range.contains(difficulties?[$0] ?? 0) }
      guard !taken.isEmpty else {
        throw DataError(
          file: config.trainDataPath, key: "sampling_range",
          reason: "no row has a difficulty from \(range.lowerBound) to \(range.upperBound)",
          remedy: "widen the range: difficulties are from 0 to 1 over the data")
      }
      return ShuffleSampler(rows: taken, shuffle: shuffle, seed: seed)
    case .importance:
      do throws(SamplingError) {
        return try ImportanceSampler(weights: weights ?? [], difficulties: difficulties, seed: seed)
      } catch {
        throw DataError(
          file: config.trainDataPath, key: config.samplingWeightField, reason: error.description,
          remedy: "give some row a weight above 0")
      }
    case .balanced:
      return BalancedSampler(
        labels: labels ?? [], difficulties: difficulties, shuffle: shuffle, seed: seed)
    }
  }

  /// Whole batches of rows; nil where rows are taken one by one.
  func lengthBatches(of rows: RowSet, _ config: NestedLearningConfig) -> LengthBatches? {
    guard config.samplingMode == .length else { return nil }
    return LengthBatches(
      lengths: rows.indices.map(rows.length), domains: domains, batchSize: config.batchSize,
      tolerance: config.samplingLengthTolerance, mode: config.samplingLengthMode, seed: config.seed)
  }
}

extension RowOrder: RowSampler {
  func row(at draw: Int, in range: ClosedRange<Double>?) -> Int { row(at: draw) }
}
