import Kernels
import Tensors

/// What a batch comes to for one task.
public struct TaskLoss: Sendable, Equatable {
  /// The sum of the cross entropies of its labels, unweighted, in nats.
  public var loss = 0.0
  /// Its labels.
  public var places = 0
  /// Labels that are the likeliest; only where predictions were asked for.
  public var correct = 0
  /// By label how often it was right, how often it was predicted, and how often it is what was to be predicted; empty of
  /// language modelling, and where predictions were not asked for.
  public var labels: [LabelCounts] = []

  public init() {}

  /// Nothing yet; with a count for each label where predictions are asked for.
  init(_ head: TaskHead, predicts: Bool) {
    if predicts { labels = head.labels.map { _ in LabelCounts() } }
  }
}

/// How often a label was predicted and how often it was right.
public struct LabelCounts: Sendable, Equatable {
  public var correct = 0
  public var predicted = 0
  public var actual = 0

  public init(correct: Int = 0, predicted: Int = 0, actual: Int = 0) {
    (self.correct, self.predicted, self.actual) = (correct, predicted, actual)
  }
}

extension TrainableModel {
  /// What is measured on the rows of each task, without dropout, with predictions: of equal scores the lowest label counts.
  ///
  /// - Throws: `BatchError` if a row is of no task, or has a label that its task does not have.
  public func taskScores(_ batch: MicroBatch) throws -> [TaskLoss] {
    try batch.check(vocabulary: configuration.vocabularySize, heads: tasks.heads, domains: domains)
    guard !batch.trainedPlaces.isEmpty else { return tasks.heads.map { TaskLoss($0, predicts: true) } }
    return try taskLosses(batch, dropout: nil, predicts: true).tasks
  }

  /// Puts the losses of all tasks on the tape, each row's times its weight, and where ln σ² = s is learned times ½e^(−s).
  func taskSums(
    _ batch: MicroBatch, dropout: DropoutKey?, rowWeights: [Float], kept: LayerInput?
  ) throws -> ObjectiveSums {
    let pass = try trainingPass(batch, dropout: dropout, kept: kept)
    let hidden = try transformer.hidden(batch.tokens, pass)
    let (losses, objective) = try taskLosses(batch, hidden, pass, rowWeights: rowWeights)
    var sums = ObjectiveSums()
    sums.task = losses.reduce(0) { $0 + $1.loss }
    (sums.tasks, sums.objective) = (losses, objective)
    sums.add(try domainLoss(batch, hidden, pass))
    return sums
  }

  func taskLosses(
    _ batch: MicroBatch, dropout: DropoutKey?, adapterScale: Double = 1, predicts: Bool = false
  ) throws -> (tasks: [TaskLoss], objective: Double) {
    let pass = try trainingPass(batch, dropout: dropout, adapterScale: adapterScale)
    return try taskLosses(batch, transformer.hidden(batch.tokens, pass), pass, predicts: predicts)
  }

  /// - Parameters:
  ///   - hidden: hidden states after the last layer, [T, hidden]
  ///   - rowWeights: what the losses of each row are multiplied by; empty: 1
  ///   - predicts: whether the likeliest labels are counted; nothing goes on the tape then
  private func taskLosses(
    _ batch: MicroBatch, _ hidden: Variable, _ pass: ForwardPass, rowWeights: [Float] = [],
    predicts: Bool = false
  ) throws -> (tasks: [TaskLoss], objective: Double) {
    let logVariances = tasks.logVariances?.tensor.values ?? []
    var slopes = [Double](repeating: 0, count: logVariances.count)
    var (losses, objective): ([TaskLoss], Double) = ([], 0)
    for (task, module) in tasks.modules.enumerated() {
      let (places, rows) = batch.places(ofTask: task)
      guard !places.isEmpty else {
        losses.append(TaskLoss(module.head, predicts: predicts))
        continue
      }
      let weights = rows.map { $0 < rowWeights.count ? rowWeights[$0] : 1 }
      let variance = task < logVariances.count ? Double(logVariances[task]) : nil
      let factor = variance.map { Float(0.5 * nl_exp(-$0)) } ?? tasks.weights.map { $0.tensor.values[task] }
      let labels = places.map { batch.labels[Int($0)] }
      let states = try transformer.normed(hidden, places: places, pass)
      var (loss, each) = try self.losses(
        of: module, states, places: places, labels: labels,
        factors: factor.map { factor in weights.map { $0 * factor } } ?? weights, predicts: predicts, pass)
      loss.places = places.count
      for (weight, own) in zip(weights, each) {
        loss.loss += own
        objective += Double(weight) * (factor.map { Double($0) * own } ?? own)
        guard let variance, let factor else { continue }
        objective += Double(weight) * 0.5 * variance
        slopes[task] += Double(weight) * (0.5 - Double(factor) * own)
      }
      losses.append(loss)
    }
    if !predicts, let parameter = tasks.logVariances {
      try tape.send(slopes.map { Float($0) }, to: parameter.variable)
    }
    return (losses, objective)
  }

  /// The loss of each place; the first of the pair has what was predicted.
  func losses(
    of module: TaskModule, _ states: Variable, places: [Int32], labels: [Int32], factors: [Float],
    predicts: Bool, _ pass: ForwardPass
  ) throws -> (TaskLoss, [Double]) {
    var loss = TaskLoss(module.head, predicts: predicts)
    guard let scores = try module.scores(states, places: places, pass) else {
      if predicts {
        let scored = try tape.scores((states, transformer.head.matrix), labels: labels)
        loss.correct = scored.correct
        return (loss, scored.losses)
      }
      let outcomes = try tape.objective(
        states, head: transformer.head.matrix, base: nil,
        tokens: zip(labels, factors).map { TokenObjective(label: $0, hard: $1) })
      return (loss, outcomes.map(\.loss))
    }
    if predicts {
      for (label, likeliest) in zip(labels, likeliest(scores.tensor)) {
        loss.labels[Int(label)].actual += 1
        loss.labels[likeliest].predicted += 1
        guard likeliest == Int(label) else { continue }
        loss.labels[likeliest].correct += 1
        loss.correct += 1
      }
    }
    return (loss, try tape.crossEntropy(scores, labels: labels, factors: factors))
  }

  /// Of each row of [T, n] the place of the largest, the first of equals.
  func likeliest(_ scores: Tensor) -> [Int] {
    let n = scores.shape[1]
    return scores.withValues { values in
      (0..<scores.shape[0]).map { row in
        (0..<n).reduce(0) { values[row * n + $1] > values[row * n + $0] ? $1 : $0 }
      }
    }
  }
}
