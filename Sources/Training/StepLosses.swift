import JSON
import NestedLearning
import WireProtocol

/// The losses of a step's tokens, added up over its micro-batches by the fixed tree.
package struct StepLosses: Sendable, Hashable {
  /// Cross entropy of the trained tokens of task rows, in nats.
  package var task: Double
  package var taskTokens: Int
  /// The other sums of a run that has an objective of its own.
  package var terms: ObjectiveTerms?
  /// Trained tokens of replayed rows.
  package var replayTokens: Int

  package init(task: Double, taskTokens: Int, terms: ObjectiveTerms? = nil, replayTokens: Int = 0) {
    self.task = task
    self.taskTokens = taskTokens
    self.terms = terms
    self.replayTokens = replayTokens
  }

  /// What gradients are divided by.
  package var tokens: Int { taskTokens + replayTokens }

  /// The mean over the tokens of task rows; nil without any.
  package var meanTask: Double? { taskTokens > 0 ? task / Double(taskTokens) : nil }
  /// The mean of each task, where there are any; 0 without a label.
  package var meanTasks: [Double] {
    (terms?.tasks ?? []).map { $0.places > 0 ? $0.loss / Double($0.places) : 0 }
  }
  /// The mean over the tokens of replayed rows; nil without any.
  package var meanReplay: Double? {
    terms.flatMap { replayTokens > 0 ? $0.replay / Double(replayTokens) : nil }
  }
}

extension StepLosses {
  /// What a step's row of metrics has beside the loss, in a run that has an objective: of replayed rows the loss and the
  /// number of trained tokens, of all tokens the objective's mean, and the sum of KL(p_base ‖ p) divided by their number; of rows
  /// whose domains are told, the mean cross entropy and the share that is told rightly.
  package var columns: [(String, JSONValue)] {
    guard let terms else { return [] }
    let perToken = { (sum: Double) -> JSONValue in tokens > 0 ? .number(sum / Double(tokens)) : .null }
    var columns: [(String, JSONValue)] = []
    if let domains = terms.domains, domains.places > 0 {
      columns = [
        ("domain_loss", .number(domains.loss / Double(domains.places))),
        ("domain_accuracy", domains.accuracy.map { .number($0) } ?? .null),
      ]
    }
    guard terms.tasks.isEmpty else { return columns + [("objective", perToken(terms.objective))] }
    return columns + [
      ("replay_loss", meanReplay.map { .number($0) } ?? .null), ("replay_tokens", .number(replayTokens)),
      ("objective", perToken(terms.objective)), ("kl_to_base", perToken(terms.divergence)),
    ]
  }
}
