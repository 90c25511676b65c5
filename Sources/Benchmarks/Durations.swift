import Service

/// How long the same thing took each time, in seconds.
struct Durations: Sendable {
  /// Ascending.
  private let sorted: [Double]

  init(_ seconds: [Double]) { sorted = seconds.sorted() }

  var count: Int { sorted.count }
  /// In all.
  var sum: Double { sorted.reduce(0, +) }
  var best: Double { sorted.first ?? .nan }
  var worst: Double { sorted.last ?? .nan }
  /// Of an even number the mean of the two in the middle.
  var median: Double {
    guard let last = sorted.indices.last else { return .nan }
    return (sorted[last / 2] + sorted[(last + 1) / 2]) / 2
  }

  /// The smallest that is not exceeded by this share of all (nearest rank).
  func percentile(_ share: Double) -> Double {
    guard !sorted.isEmpty else { return .nan }
    let rank = Int((share * Double(sorted.count)).rounded(.up))
    return sorted[min(max(rank, 1), sorted.count) - 1]
  }
}
