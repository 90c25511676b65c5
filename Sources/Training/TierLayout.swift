import NestedLearning
import WireProtocol

/// How a tier's parameters, or their gradients, lie one behind the other in the run of values that travels: names
/// ascending by UTF-8 bytes, row-major.
package struct TierLayout: Sendable, Equatable {
  package let tiers: [[TierParameter]]

  /// The layout that a coordinator decides on.
  package init(scheduler: ParameterTierScheduler, shapes: [String: [Int]]) {
    tiers = scheduler.tiers.map { tier in
      tier.parameters.map { TierParameter(name: $0, shape: shapes[$0] ?? []) }
    }
  }

  /// The layout that a worker was told in ENTER_RUN.
  package init(_ run: EnterRun) { tiers = run.tiers }

  /// Number of values in a tier.
  package func count(tier: Int) -> Int { tiers[tier].reduce(0) { $0 + $1.count } }

  /// One run of values from a value for each parameter.
  package func joined(tier: Int, _ values: (String) throws -> [Float]) rethrows -> [Float] {
    var all: [Float] = []
    all.reserveCapacity(count(tier: tier))
    for parameter in tiers[tier] { all += try values(parameter.name) }
    return all
  }

  /// Adds each parameter's part of a tier's run of values to `sums`.
  ///
  /// - Throws: `TrainingError` if the run has another length.
  package func split(tier: Int, _ values: [Float], into sums: inout GradientSums) throws {
    try values.withUnsafeBufferPointer { try split(tier: tier, $0, into: &sums) }
  }

  /// The same of values that are lent.
  package func split(
    tier: Int, _ values: UnsafeBufferPointer<Float>, into sums: inout GradientSums
  ) throws {
    guard values.count == count(tier: tier) else {
      throw TrainingError("tier \(tier) has \(count(tier: tier)) values, but \(values.count) came")
    }
    var start = 0
    for parameter in tiers[tier] {
      sums[parameter.name] = Array(UnsafeBufferPointer(rebasing: values[start..<(start + parameter.count)]))
      start += parameter.count
    }
  }
}
