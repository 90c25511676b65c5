import Dataset
import Foundation
import JSON
import LanguageModel
import WireProtocol

/// What is reported of one task.
public struct TaskMetrics: Sendable {
  private let sums: TaskSums

  init(_ sums: TaskSums) { self.sums = sums }

  /// Mean cross entropy of its labels in nats; nil without any.
  public var loss: Double? { sums.places > 0 ? sums.loss / Double(sums.places) : nil }
  /// Share of labels that are the likeliest.
  public var accuracy: Double? { sums.accuracy }
  /// Macro F1, as scikit-learn has it; nil of language modelling.
  public var macroF1: Double? { sums.macroF1 }

  public var json: JSONValue {
    var members: JSONObject = [
      "loss": loss.map { .number($0) } ?? .null, "accuracy": accuracy.map { .number($0) } ?? .null,
    ]
    if !sums.labels.isEmpty { members["f1"] = macroF1.map { .number($0) } ?? .null }
    members["labels"] = .number(sums.places)
    return .object(members)
  }

  public var text: String {
    guard let loss, let accuracy else { return "no labels" }
    return String(format: "loss %.4f, accuracy %.1f%%", loss, accuracy * 100)
      + (macroF1.map { String(format: ", F1 %.3f", $0) } ?? "")
  }
}

extension TaskSums {
  package init(_ loss: TaskLoss) {
    self.init(
      loss: loss.loss, places: loss.places, correct: loss.correct,
      labels: loss.labels.map { Label(correct: $0.correct, predicted: $0.predicted, actual: $0.actual) })
  }
}

extension ObjectiveTerms {
  /// What a model's pass over a batch comes to, as workers tell it.
  package init(_ sums: ObjectiveSums) {
    self.init(
      replay: sums.replay, divergence: sums.divergence, objective: sums.objective,
      tasks: sums.tasks.map(TaskSums.init), domains: sums.domains.map(TaskSums.init))
  }
}

extension Evaluation {
  /// Of tasks: the mean over the labels of all, and each by itself.
  init(lossSum: Double, tasks: [(name: String, sums: TaskSums)], rows: Int, reports: [RowReport]) {
    let labels = tasks.reduce(0) { $0 + $1.sums.places }
    self.init(
      loss: lossSum / Double(max(1, labels)),
      correctTokens: tasks.reduce(0) { $0 + $1.sums.correct }, divergence: nil, answers: nil,
      tasks: tasks.map { ($0.name, TaskMetrics($0.sums)) }, tokens: labels, rows: rows, reports: reports)
  }
}
