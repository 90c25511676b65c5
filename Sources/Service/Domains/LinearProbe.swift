import Foundation

/// A multinomial logistic regression in Double, made anew to tell how much of something a model's hidden states say: what it
/// gets right of rows that it was not made on.
///
/// It minimises the mean cross entropy + ½·decay·‖W‖² over inputs with mean 0 and variance 1, by gradient descent with
/// Nesterov's momentum from zero.
struct LinearProbe {
  private let mean: [Double]
  private let scale: [Double]
  /// [classes][inputs + 1], the bias last.
  private var weights: [[Double]]

  static let decay = 0.01
  static let iterations = 1000

  /// - Parameters:
  ///   - inputs: [rows][inputs].
  ///   - labels: [rows], each from 0 to below `classes`.
  init(inputs: [[Float]], labels: [Int], classes: Int) {
    let width = inputs.first?.count ?? 0
    let count = Double(max(1, inputs.count))
    var (mean, scale) = ([Double](repeating: 0, count: width), [Double](repeating: 0, count: width))
    for row in inputs { for i in 0..<width { mean[i] += Double(row[i]) / count } }
    for row in inputs {
      for i in 0..<width { scale[i] += (Double(row[i]) - mean[i]) * (Double(row[i]) - mean[i]) }
    }
    (self.mean, self.scale) = (mean, scale.map { 1 / max(($0 / count).squareRoot(), 1e-12) })
    weights = [[Double]](repeating: [Double](repeating: 0, count: width + 1), count: classes)
    let rows = inputs.map(standardized)
    // No direction of the loss is steeper than half the mean of ‖x‖².
    let rate = 2 / (Double(width) + 1)
    var before = weights
    for iteration in 0..<Self.iterations {
      let momentum = Double(iteration) / Double(iteration + 3)
      let ahead = zip(weights, before).map { now, old in zip(now, old).map { $0 + momentum * ($0 - $1) } }
      before = weights
      let slope = Self.gradient(ahead, rows, labels)
      weights = zip(ahead, slope).map { weight, slope in zip(weight, slope).map { $0 - rate * $1 } }
    }
  }

  private func standardized(_ row: [Float]) -> [Double] {
    row.indices.map { (Double(row[$0]) - mean[$0]) * scale[$0] } + [1]
  }

  private static func gradient(_ weights: [[Double]], _ rows: [[Double]], _ labels: [Int]) -> [[Double]] {
    var slope = weights.map { weight in weight.map { decay * $0 } }
    for index in weights.indices { slope[index][weights[index].count - 1] = 0 }
    let share = 1 / Double(max(1, rows.count))
    for (row, label) in zip(rows, labels) {
      let scores = weights.map { dot($0, row) }
      let most = scores.max() ?? 0
      let shares = scores.map { exp($0 - most) }
      let sum = shares.reduce(0, +)
      for index in weights.indices {
        let error = (shares[index] / sum - (index == label ? 1 : 0)) * share
        for i in row.indices { slope[index][i] += error * row[i] }
      }
    }
    return slope
  }

  private static func dot(_ a: [Double], _ b: [Double]) -> Double { zip(a, b).reduce(0) { $0 + $1.0 * $1.1 } }

  /// The likeliest class of a row, the first of equals.
  func predict(_ row: [Float]) -> Int {
    let scores = weights.map { Self.dot($0, standardized(row)) }
    return scores.indices.reduce(0) { scores[$1] > scores[$0] ? $1 : $0 }
  }
}
