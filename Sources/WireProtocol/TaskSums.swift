import Digests
import JSON

/// What a node comes to for one of the tasks that share a transformer, added by the fixed tree.
public struct TaskSums: Sendable, Hashable {
  /// How often a label was right, predicted, and what was to be predicted.
  public struct Label: Sendable, Hashable {
    public var correct: Int
    public var predicted: Int
    public var actual: Int

    public init(correct: Int, predicted: Int, actual: Int) {
      (self.correct, self.predicted, self.actual) = (correct, predicted, actual)
    }
  }

  /// The cross entropies of its labels, unweighted, in nats.
  public var loss: Double
  /// Its labels.
  public var places: Int
  /// Of an evaluation: those that are the likeliest.
  public var correct: Int
  /// Of an evaluation of classification: by label.
  public var labels: [Label]

  public init(loss: Double = 0, places: Int = 0, correct: Int = 0, labels: [Label] = []) {
    (self.loss, self.places, self.correct, self.labels) = (loss, places, correct, labels)
  }

  public static func + (a: TaskSums, b: TaskSums) -> TaskSums {
    TaskSums(
      loss: a.loss + b.loss, places: a.places + b.places, correct: a.correct + b.correct,
      labels: zip(a.labels, b.labels).map {
        Label(
          correct: $0.correct + $1.correct, predicted: $0.predicted + $1.predicted,
          actual: $0.actual + $1.actual)
      })
  }

  var bitPatterns: [UInt64] {
    [loss.bitPattern, UInt64(places), UInt64(correct)]
      + labels.flatMap { [UInt64($0.correct), UInt64($0.predicted), UInt64($0.actual)] }
  }

  /// The share of labels that are the likeliest; nil without any.
  public var accuracy: Double? { places > 0 ? Double(correct) / Double(places) : nil }

  /// The mean of F1 = 2·correct/(predicted + actual) over the labels that were predicted or were to be, as scikit-learn's
  /// `f1_score(average="macro")`; nil where labels were not counted.
  public var macroF1: Double? {
    let scores = labels.filter { $0.predicted + $0.actual > 0 }.map {
      2 * Double($0.correct) / Double($0.predicted + $0.actual)
    }
    return scores.isEmpty ? nil : scores.reduce(0, +) / Double(scores.count)
  }
}

extension TaskSums {
  /// Loss as bits, counts, and of each label three more.
  var json: JSONValue {
    .array(
      [.string(Hexadecimal.text(loss.bitPattern)), .number(places), .number(correct)]
        + labels.flatMap { [.number($0.correct), .number($0.predicted), .number($0.actual)] })
  }

  /// - Returns: nil if it is none.
  init?(_ json: JSONValue) {
    guard let items = json.array, items.count >= 3, items.count % 3 == 0,
      items.count <= 3 * (WireLimits.taskLabels + 1),
      let word = items[0].string.flatMap({ Hexadecimal.word($0) })
    else { return nil }
    let counts = items.dropFirst().compactMap(\.int)
    guard counts.count == items.count - 1, counts.allSatisfy({ (0...Int(Int32.max)).contains($0) }) else {
      return nil
    }
    self.init(
      loss: Double(bitPattern: word), places: counts[0], correct: counts[1],
      labels: stride(from: 2, to: counts.count, by: 3).map {
        Label(correct: counts[$0], predicted: counts[$0 + 1], actual: counts[$0 + 2])
      })
  }

  /// Whether an honest worker may have said it.
  ///
  /// - Parameters:
  ///   - tokens: labels of all tasks together.
  ///   - labelCount: how many labels are counted.
  public func isPossible(tokens: Int, labelCount: Int) -> Bool {
    guard places <= tokens, correct <= places, labels.count == labelCount, loss.isFinite else { return false }
    let most = 2 * Double(Float.greatestFiniteMagnitude) * Double(places)
    guard loss.magnitude <= most, !labels.isEmpty else { return loss.magnitude <= most }
    return labels.allSatisfy { $0.correct <= min($0.predicted, $0.actual) }
      && labels.reduce(0) { $0 + $1.predicted } == places && labels.reduce(0) { $0 + $1.actual } == places
      && labels.reduce(0) { $0 + $1.correct } == correct
  }
}
