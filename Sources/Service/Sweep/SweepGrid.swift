import JSON
import NestedLearning

/// Values to try for some config keys: every combination is a run.
public struct SweepGrid: Sendable {
  /// A key and the values that it has in turn.
  struct Axis: Sendable {
    let key: String
    let values: [JSONValue]
  }

  /// One run's values, by key.
  typealias Combination = [(key: String, value: JSONValue)]

  let axes: [Axis]

  /// More runs than anybody means.
  static let mostRuns = 1000

  /// - Parameter words: each `KEY=VALUE|VALUE|…`; a value is JSON, or else text.
  /// - Throws: `ServiceError` that names the word that cannot be used.
  public init(_ words: [String]) throws {
    axes = try words.map(Self.axis)
    if let twice = Dictionary(grouping: axes.map(\.key), by: { $0 }).first(where: { $1.count > 1 })?.key {
      throw ServiceError("--grid has the key \(twice) twice", remedy: "give all its values in one")
    }
    let count = axes.reduce(1) { min(Self.mostRuns + 1, $0 * $1.values.count) }
    guard count <= Self.mostRuns else {
      throw ServiceError("--grid makes more than \(Self.mostRuns) runs", remedy: "give fewer values")
    }
  }

  private static func axis(_ word: String) throws -> Axis {
    let parts = word.split(separator: "=", maxSplits: 1, omittingEmptySubsequences: false)
    let values = parts.count == 2 ? parts[1].split(separator: "|", omittingEmptySubsequences: false) : []
    guard parts.count == 2, !values.isEmpty, !values.contains("") else {
      throw ServiceError(
        "--grid \(word) is not of the form KEY=VALUE|VALUE", remedy: "as in 'learning_rate=1e-4|1e-3'")
    }
    let key = String(parts[0])
    guard NestedLearningConfig.key(named: key) != nil else {
      let nearest = EditDistance.nearest(to: key, among: NestedLearningConfig.keys.map(\.name))
      throw ServiceError("--grid: \(key) is not a key", remedy: nearest.map { "the nearest key is \($0)" })
    }
    guard !["output_path", "experiment_name"].contains(key) else {
      throw ServiceError(
        "--grid: \(key) is what tells the runs apart", remedy: "the sweep gives each its own")
    }
    let read = values.map { (try? JSONValue(parsing: String($0))) ?? .string(String($0)) }
    guard Set(read.map(\.text)).count == read.count else {
      throw ServiceError("--grid \(word) has a value twice")
    }
    return Axis(key: key, values: read)
  }

  /// The last key changes fastest.
  var combinations: [Combination] {
    axes.reduce([[]]) { runs, axis in runs.flatMap { run in axis.values.map { run + [(axis.key, $0)] } } }
  }

  /// As part of the name of a folder, as in `learning_rate=0.001,tier_order=deep_fast`.
  static func name(of combination: Combination) -> String {
    combination.map { key, value in
      let text = String(
        (value.string ?? value.text).map {
          $0.isASCII && ($0.isLetter || $0.isNumber || "._-".contains($0)) ? $0 : "-"
        })
      return "\(key)=" + text.split(separator: "-").joined(separator: "-")
    }.joined(separator: ",")
  }
}
