import Kernels

/// How difficult the rows of a data set are, each from 0 to 1: .3 × length + .3 × rarity + .4 × (1 − confidence), every
/// part brought to [0, 1] over the data set, or one of the first two by itself.
///
/// - length: tokens of the row
/// - rarity: mean of −ln(share of the token among all tokens of the data set) over the row's tokens
/// - confidence: mean probability that a model gives the row's trained tokens, e^(−loss), before training
///
/// ```swift
/// let scorer = DifficultyScorer(kind: .length)
/// scorer.scores(lengths: [4, 12, 8], rarities: [], confidences: [])   // [0, 1, 0.5]
/// ```
public struct DifficultyScorer: Sendable, Equatable {
  /// `sampling_difficulty`: what makes a row difficult.
  public enum Kind: String, Sendable, CaseIterable {
    /// All three parts.
    case score
    case length
    case rarity

    /// Whether a model has to be asked.
    public var needsConfidence: Bool { self == .score }
  }

  public let kind: Kind
  /// What each part counts for in a `score`.
  public static let weights = (length: 0.3, rarity: 0.3, confidence: 0.4)

  public init(kind: Kind = .score) { self.kind = kind }

  /// A number from 0 to 1 for each row.
  ///
  /// - Parameters:
  ///   - lengths: [rows], in tokens
  ///   - rarities: [rows], as ``TokenRarity`` gives them; not looked at for `length`
  ///   - confidences: [rows], from 0 to 1; looked at for `score` alone
  public func scores(lengths: [Int], rarities: [Double], confidences: [Double]) -> [Double] {
    switch kind {
    case .length: return Self.normalised(lengths.map(Double.init))
    case .rarity: return Self.normalised(rarities)
    case .score:
      let length = Self.normalised(lengths.map(Double.init))
      let rarity = Self.normalised(rarities)
      let doubt = Self.normalised(confidences.map { 1 - $0 })
      return length.indices.map { row in
        Self.weights.length * length[row] + Self.weights.rarity * rarity[row]
          + Self.weights.confidence * doubt[row]
      }
    }
  }

  /// (x − least)/(most − least) of each; 0 where all are equal.
  public static func normalised(_ values: [Double]) -> [Double] {
    guard let least = values.min(), let most = values.max(), most > least else {
      return values.map { _ in 0 }
    }
    return values.map { ($0 - least) / (most - least) }
  }

  /// The share of rows that are no more difficult than each: its place in the cumulative distribution, above 0 and up to 1.
  public static func ranks(_ difficulties: [Double]) -> [Double] {
    let order = difficulties.indices.sorted { difficulties[$0] < difficulties[$1] }
    var ranks = [Double](repeating: 0, count: difficulties.count)
    var end = order.count
    for place in order.indices.reversed() {
      if place + 1 < order.count, difficulties[order[place]] < difficulties[order[place + 1]] {
        end = place + 1
      }
      ranks[order[place]] = Double(end) / Double(order.count)
    }
    return ranks
  }
}

/// How often each token stands in a data set, and what of that a row's rarity is.
public struct TokenRarity: Sendable {
  private var counts: [Int32: Int] = [:]
  private var total = 0

  public init() {}

  /// Counts the tokens of a row.
  public mutating func add(_ tokens: some Sequence<Int32>) {
    for token in tokens {
      counts[token, default: 0] += 1
      total += 1
    }
  }

  /// The mean of −ln(count/total) over a row's tokens, added up in Double in their order; 0 of an empty row. A token that
  /// was never counted stands as one that was counted once.
  public func rarity(of tokens: some Collection<Int32>) -> Double {
    guard !tokens.isEmpty, total > 0 else { return 0 }
    let sum = tokens.reduce(0.0) { sum, token in
      sum - nl_log(Double(counts[token] ?? 1) / Double(total))
    }
    return sum / Double(tokens.count)
  }
}
