import Digests
import NestedLearning
import Service
import Training
import WireProtocol

/// The same training without any cluster: one loop over the steps, nothing shared with the coordinator but the rules
/// of training themselves. What a simulated run must come to, step by step.
final class Reference {
  private let problem: ToyProblem
  private var state: NestedTrainerState
  private var progress = RunProgress()
  private var plans: PlanCourse
  private var stateBits: [Int: UInt64] = [:]
  private var losses: [Int: Double] = [:]
  private var ended = false
  /// The step of the best checkpoint, and a fingerprint of its state; step 0 before the first.
  private(set) var best: (step: Int, bits: UInt64) = (0, 0)

  init(_ problem: ToyProblem) throws {
    self.problem = problem
    plans = PlanCourse(config: problem.config, scheduler: problem.scheduler)
    state = try problem.initialState()
    stateBits[0] = Self.bits(of: state)
  }

  /// A fingerprint of parameters and moments after a step; nil if training ends before it.
  func bits(after step: Int) throws -> UInt64? {
    while stateBits[step] == nil, !ended { try turn() }
    // A replay goes back no further than its snapshot.
    defer { stateBits[step - 4096] = nil }
    return stateBits[step]
  }

  /// The loss of the evaluation after a step; nil if there is none.
  func evaluationLoss(after step: Int) throws -> Double? {
    while losses[step] == nil, progress.step <= step, !ended { try turn() }
    return losses[step]
  }

  /// The loss of the trial of an adapter's scale, after training; nil if that scale is not tried.
  func trialLoss(scale: Double) throws -> Double? {
    while !ended { try turn() }
    return progress.trials.first { $0.scale == scale }?.loss
  }

  /// The SHA-256 of the state at the end, and the number of steps.
  func end() throws -> (digest: String, step: Int) {
    while !ended { try turn() }
    return (Self.digest(of: state.snapshot().tensors, state.optimizer.updateCounts), state.step)
  }

  /// The digest that two states are compared by.
  static func digest(of tensors: [NamedTensor], _ updateCounts: [Int]) -> String {
    Digest.sha256(StateDigest.of(tensors) + " \(updateCounts)")
  }

  static func bits(of state: NestedTrainerState) -> UInt64 {
    var bits = Fingerprint()
    bits.add(state.step)
    for tensor in state.copyTensors { bits.add(tensor.values) }
    for tier in state.scheduler.tiers {
      bits.add(state.optimizer.updateCounts[tier.index])
      for name in tier.parameters {
        bits.add(state.parameters[name] ?? [])
        if let moments = state.optimizer.moments[name] {
          bits.add(moments.mean)
          bits.add(moments.square)
        }
      }
    }
    return bits.value
  }

  private func turn() throws {
    switch progress.next(problem.config) {
    case .train(let step): try train(step)
    // The toy has no adapter: every scale has the same loss.
    case .evaluateScale(let scale): _ = progress.tried(scale: scale, loss: try loss(), problem.config)
    case .saveScaled: progress.savedScaled()
    case .evaluate:
      let loss = try loss()
      losses[progress.step] = loss
      let accuracy = accuracy()
      progress.evaluated(loss: loss, accuracy: accuracy, problem.config)
      if let accuracy, plans.take(accuracy), let change = plans.plan.change { state.follow(change) }
    case .saveBest:
      best = (progress.step, Self.bits(of: state))
      progress.savedBest()
    case .saveCheckpoint: progress.savedCheckpoint()
    case .finish: ended = true
    }
  }

  /// The mean over the validation rows of what is published.
  private func loss() throws -> Double {
    let batches = problem.evaluationBatches()
    let leaves = leaves(of: batches, step: progress.step, tiers: [], values: state.published)
    let tokens = batches.reduce(0) { $0 + $1.trainedTokens }
    return try ReductionTree.reduce(leaves.map(\.loss)) { $0 += $1 } / Double(tokens)
  }

  /// Of the validation rows, where a curriculum follows that.
  private func accuracy() -> EvaluatedAccuracy? {
    guard problem.config.curriculumStrategy.followsEvaluations else { return nil }
    let (batches, parameters) = (problem.evaluationBatches(), parameters(state.published))
    return EvaluatedAccuracy(
      step: progress.step, correct: batches.reduce(0) { $0 + ToyProblem.correct($1, parameters) },
      tokens: batches.reduce(0) { $0 + $1.trainedTokens })
  }

  private func leaves(
    of batches: [AssignedMicroBatch], step: Int, tiers: [Int], values: [String: [Float]]
  ) -> [(loss: Double, gradients: [Int: [Float]])] {
    let parameters = parameters(values)
    return batches.map { ToyProblem.leaf($0, step: step, tiers: tiers, parameters: parameters) }
  }

  private func parameters(_ values: [String: [Float]]) -> ToyParameters {
    var parameters = ToyParameters(counts: problem.scheduler.tiers.map(\.parameterCount))
    for tier in problem.scheduler.tiers {
      let values = problem.layout.joined(tier: tier.index) { values[$0] ?? [] }
      parameters.set(tier: tier.index, version: nil, values)
    }
    return parameters
  }

  private func train(_ step: Int) throws {
    let batches = problem.microBatches(step: step)
    let tokens = batches.reduce(0) { $0 + $1.trainedTokens }
    let due = state.tiersDue(at: step)
    let byMicroBatch = try leaves(of: batches, step: step, tiers: due, values: state.parameters).map { leaf in
      var sums: GradientSums = [:]
      for tier in due { try problem.layout.split(tier: tier, leaf.gradients[tier] ?? [], into: &sums) }
      return sums
    }
    let gradients: StepGradients
    if problem.usesWindows {
      gradients = .scaledMicroBatches(
        byMicroBatch.map { $0.mapValues { GradientWindow.scaled($0, trainedTokens: tokens) } })
    } else {
      gradients = .sums(try ReductionTree.reduce(byMicroBatch) { try ReductionTree.add($1, to: &$0) })
    }
    _ = try state.apply(
      step: step, trainedTokens: tokens, gradients: gradients, baseRate: progress.baseRate)
    progress.applied(step: step)
    stateBits[step] = Self.bits(of: state)
  }
}
