import LanguageModel
import NestedLearning
import Training

/// How far the tiers that a step updated are from where training began: ‖θ − θ₀‖₂ over a tier's parameters, the Euclidean
/// norm of all their numbers together, summed in f64. The weights of tasks are none of it. It is computed of tiers that
/// have changed alone, and nothing goes by it.
struct TierDrift {
  private let contents: any RunContents
  /// Of each tier of the config; nil of one that the step did not update.
  private(set) var values: [Double?]

  /// - Parameter applied: what the step came to
  init(_ applied: AppliedStep, _ contents: any RunContents) {
    self.contents = contents
    values = [Double?](repeating: nil, count: contents.scheduler.shownTiers.count)
    for tier in applied.changed where values.indices.contains(tier.tier) {
      values[tier.tier] = distance(of: tier)
    }
    // A copy that has followed is what the fastest goes on from.
    for copy in applied.followed where values.indices.contains(copy.level) { values[copy.level] = values[0] }
  }

  private static let apart: Set = [
    TaskHead.logVariancesName, TaskHead.weightsName, TaskHead.gradientsName, TaskHead.firstLossesName,
  ]

  private func distance(of tier: TierValues) -> Double? {
    let start = contents.initialValues
    return try? tier.values.withFloats { values in
      var (sum, place) = (0.0, 0)
      for name in contents.scheduler.tiers[tier.tier].parameters {
        guard let began = start[name], place + began.count <= values.count else { return nil }
        let now = UnsafeBufferPointer(rebasing: values[place..<place + began.count])
        if !Self.apart.contains(name) { sum += Self.squaredDistance(now, began) }
        place += began.count
      }
      return sum.squareRoot()
    }
  }

  /// Σ (x − y)², in eight lanes, and then what is left over.
  static func squaredDistance(_ x: UnsafeBufferPointer<Float>, _ y: [Float]) -> Double {
    y.withUnsafeBufferPointer { y in
      let whole = x.count - x.count % 8
      var lanes = SIMD8<Double>.zero
      for place in stride(from: 0, to: whole, by: 8) {
        let difference = lane(x, place) - lane(y, place)
        lanes += difference * difference
      }
      var sum = lanes.sum()
      for place in whole..<x.count {
        let difference = Double(x[place]) - Double(y[place])
        sum += difference * difference
      }
      return sum
    }
  }

  private static func lane(_ values: UnsafeBufferPointer<Float>, _ place: Int) -> SIMD8<Double> {
    SIMD8<Double>(
      UnsafeRawBufferPointer(values).loadUnaligned(fromByteOffset: 4 * place, as: SIMD8<Float>.self))
  }
}
