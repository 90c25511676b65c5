import Kernels

/// The steps from logits to a token, as the processors of transformers' `generate` take them in this order. A token that is
/// not to be drawn has the score −∞.
enum LogitsProcessor {
  /// `RepetitionPenaltyLogitsProcessor` (Keskar et al. 2019, "CTRL"): a score below 0 is multiplied by the penalty, any
  /// other divided.
  static func penalize(_ scores: inout [Float], seen: Set<Int32>, penalty: Double) {
    guard penalty != 1 else { return }
    let penalty = Float(penalty)
    for id in seen where scores.indices.contains(Int(id)) {
      let score = scores[Int(id)]
      scores[Int(id)] = score < 0 ? score * penalty : score / penalty
    }
  }

  /// `TemperatureLogitsWarper`: scores/temperature.
  static func temper(_ scores: inout [Float], temperature: Double) {
    // A temperature that is 0 in f32 would make NaN of equal scores.
    let temperature = max(Float(temperature), .leastNormalMagnitude)
    let most = scores.max() ?? 0
    // The largest score becomes 0, which changes no probability and lets no quotient overflow upwards.
    for i in scores.indices { scores[i] = (scores[i] - most) / temperature }
  }

  /// `TopKLogitsWarper`: what is below the k-th largest score is left out. Scores equal to that one stay, so that there may
  /// be more than k.
  static func keepTop(_ scores: inout [Float], count: Int) {
    guard count > 0, count < scores.count else { return }
    let least = scores[Int(highest(scores) { $0.count >= count }[count - 1])]
    for i in scores.indices where scores[i] < least { scores[i] = -.infinity }
  }

  /// `TopPLogitsWarper` (Holtzman et al. 2019, "The Curious Case of Neural Text Degeneration"): a token stays if those that
  /// are likelier have together less than the share; of equals the lower ids are the likelier. One always stays.
  static func keepTop(_ scores: inout [Float], share: Double) {
    guard share < 1 else { return }
    let weights = weights(scores)
    let goal = share * weights.reduce(0, +)
    let ids = highest(scores) { $0.reduce(0) { $0 + weights[Int($1)] } >= goal }
    var kept = [Float](repeating: -.infinity, count: scores.count)
    var sum = 0.0
    for (place, id) in ids.enumerated() where place == 0 || sum < goal {
      kept[Int(id)] = scores[Int(id)]
      sum += weights[Int(id)]
    }
    scores = kept
  }

  /// The id of the largest score, the lowest of equals.
  static func likeliest(_ scores: [Float]) -> Int32 {
    var best = 0
    for (i, value) in scores.enumerated() where value > scores[best] { best = i }
    return Int32(best)
  }

  /// The first token at which the running sum of e^(score − max) passes `uniform` of the total.
  static func draw(_ scores: [Float], uniform: Double) -> Int32 {
    let weights = weights(scores)
    let goal = uniform * weights.reduce(0, +)
    var sum = 0.0
    for (i, weight) in weights.enumerated() {
      sum += weight
      if sum > goal { return Int32(i) }
    }
    return likeliest(scores)
  }

  /// e^(score − max)
  private static func weights(_ scores: [Float]) -> [Double] {
    let most = Double(scores.isEmpty ? 0 : scores[Int(likeliest(scores))])
    return scores.map { $0 == -.infinity ? 0 : nl_exp(Double($0) - most) }
  }

  /// Ids from the largest score down, of equals the lowest first, until they are enough, or all of them.
  ///
  /// A vocabulary is long, and what is asked for is mostly near the top: only what lies within a margin is sorted.
  private static func highest(_ scores: [Float], _ areEnough: ([Int32]) -> Bool) -> [Int32] {
    let most = scores.isEmpty ? 0 : scores[Int(likeliest(scores))]
    for margin in [Float(4), 8, 16, .infinity] {
      let ids = scores.indices.filter { margin == .infinity || scores[$0] >= most - margin }.map(Int32.init)
      if margin == .infinity || areEnough(ids) {
        return ids.sorted { a, b in
          let (x, y) = (scores[Int(a)], scores[Int(b)])
          return x == y ? a < b : x > y
        }
      }
    }
    return []
  }
}
