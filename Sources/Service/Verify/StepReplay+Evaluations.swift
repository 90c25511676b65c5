import Coordination
import Ledger
import NestedLearning
import Tensors
import Training
import WireProtocol

/// Evaluations that later steps follow: computed again, of the state as it is here, and held to their record.
extension StepReplay {
  /// Whether there is an evaluation after a step, and later steps follow it.
  func isFollowed(_ step: Int) -> Bool {
    plan.followsEvaluations && evaluations.contains { $0.step == step }
  }

  /// What is wrong with the evaluation after the last step; nil if it is right, or if there is none.
  func evaluationFault() throws -> StepFault? {
    let step = engine.state.step
    guard let record = evaluations.first(where: { $0.step == step }) else { return nil }
    let again = try evaluateAgain()
    var differences: [String] = []
    if again.loss.bitPattern != record.loss.bitPattern {
      differences.append("the loss is \(again.loss), and \(record.loss) in the ledger")
    }
    if let correct = record.metrics["correct_tokens"]?.int, correct != again.correct {
      differences.append("\(again.correct) tokens are right, and \(correct) in the ledger")
    }
    if let worst = record.worstTask(of: plan.config), worst.task != WorstTask.of(again.tasks) {
      differences.append("the worst task is another than \(plan.config.tasks[worst.task].name)")
    }
    guard !differences.isEmpty else { return nil }
    return StepFault(step: step, direction: .evaluation, detail: differences.joined(separator: "; "))
  }

  private struct Evaluated {
    /// Mean over the trained tokens of the validation rows.
    let loss: Double
    let correct: Int
    let tasks: [TaskSums]
  }

  private func evaluateAgain() throws -> Evaluated {
    let copy = engine.slowestCopy()
    if let copy { try set(copy) }
    defer { if copy != nil { for tier in engine.tierValues() { try? set(tier) } } }
    let tokens = batches.evaluationTokens()
    var (losses, terms): ([TreeNode: Double], [TreeNode: ObjectiveTerms]) = ([:], [:])
    var correct = 0
    // In parts, so that few of the micro-batches are in memory at once.
    let level = min(4, TreeNode.root(count: tokens.count).level)
    for node in ReductionTree.nodes(level: level, count: tokens.count) {
      let result = try computer.compute(
        AssignMessage(
          attempt: 1, purpose: .evaluate, step: engine.state.step, leafCount: tokens.count, level: node.level,
          index: node.index, tiers: [], window: false,
          accuracy: plan.config.curriculumStrategy.followsEvaluations,
          stepTokens: max(1, tokens.reduce(0, +)),
          parameterVersions: copy.map { [$0.version] } ?? engine.state.optimizer.updateCounts,
          microBatches: node.leaves(count: tokens.count).map(batches.evaluationBatch)),
        watch: ComputationWatch())
      losses[node] = result.lossSum
      terms[node] = result.terms
      correct += result.correct ?? 0
    }
    let root = TreeNode.root(count: tokens.count)
    let sum = try ReductionTree.combine(losses, into: root, count: tokens.count) { $0 += $1 }
    let all =
      terms.isEmpty ? nil : try ReductionTree.combine(terms, into: root, count: tokens.count) { $0 = $0 + $1 }
    return Evaluated(
      loss: sum / Double(tokens.reduce(0, +)), correct: correct, tasks: all?.tasks ?? [])
  }
}

extension RunPlan {
  /// Whether steps follow what evaluations have found.
  var followsEvaluations: Bool {
    config.curriculumStrategy.followsEvaluations || config.tasksSchedule == .worstFirst
      || config.lrSchedule == .plateau
  }
}
