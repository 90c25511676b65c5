import JSON
import Tensors

/// What a run's gradients are of, where that is more than the cross entropy of every trained token. Rows are of the task,
/// or replayed: there to keep what the model knew.
public struct Objective: Sendable, Equatable {
  /// Task tokens are weighted by the entropy of the 20 likeliest tokens, over ln 20 (EAFT, arXiv 2601.02151).
  public var byEntropy = false
  /// Each row has a weight, which multiplies the cross entropy of its tokens.
  public var byRow = false
  /// Replayed tokens are to have the base model's distribution, instead of the token that follows.
  public var softReplay = false
  /// β: + β·KL(p_base ‖ p) at each token of replayed rows, or of all.
  public var klToBase = 0.0
  public var klOnAll = false
  /// Rows are of tasks, each with a head of its own.
  public var byTask = false
  /// A discriminator tells the domains of rows, and the transformer learns not to let it.
  public var byDomain = false

  public init() {}

  /// Whether it is the cross entropy of every token.
  public var isPlain: Bool { self == Objective() }

  func needsBase(isReplayed: Bool) -> Bool {
    (softReplay && isReplayed) || (klToBase > 0 && (klOnAll || isReplayed))
  }

  func wanted(label: Int32, isReplayed: Bool, weight: Float) -> TokenObjective {
    let isSoft = softReplay && isReplayed
    let needsBase = needsBase(isReplayed: isReplayed)
    // Σ −p_b log p and KL(p_b ‖ p) have one gradient.
    let divergence = klToBase > 0 && (klOnAll || isReplayed) ? Float(klToBase) : 0
    return TokenObjective(
      label: label, hard: isSoft ? 0 : weight, soft: (isSoft ? 1 : 0) + divergence, needsBase: needsBase,
      byEntropy: byEntropy && !isReplayed)
  }

  /// As workers are told.
  public var json: JSONValue {
    var members: JSONObject = [
      "by_entropy": .bool(byEntropy), "soft_replay": .bool(softReplay), "kl_to_base": .number(klToBase),
      "kl_on_all": .bool(klOnAll),
    ]
    if byRow { members["by_row"] = true }
    if byTask { members["by_task"] = true }
    if byDomain { members["by_domain"] = true }
    return .object(members)
  }

  /// - Returns: nil if it is none that this program knows.
  public init?(json: JSONValue) {
    let (byRow, byTask, byDomain) = (json["by_row"]?.bool, json["by_task"]?.bool, json["by_domain"]?.bool)
    guard let members = json.object?.members,
      members.count == 4 + [byRow, byTask, byDomain].count(where: { $0 != nil }),
      let byEntropy = json["by_entropy"]?.bool,
      let softReplay = json["soft_replay"]?.bool, let klOnAll = json["kl_on_all"]?.bool,
      let klToBase = json["kl_to_base"]?.double, klToBase >= 0, klToBase.isFinite
    else { return nil }
    self.byRow = byRow ?? false
    self.byTask = byTask ?? false
    self.byDomain = byDomain ?? false
    (self.byEntropy, self.softReplay, self.klToBase, self.klOnAll) = (
      byEntropy, softReplay, klToBase, klOnAll
    )
  }
}

/// Sums over the trained tokens of a batch, in nats.
public struct ObjectiveSums: Sendable, Equatable {
  /// Cross entropy of the tokens of task rows, unweighted.
  public var task = 0.0
  /// Of replayed rows: the cross entropy with the next token, or with the base's distribution.
  public var replay = 0.0
  /// KL(p_base ‖ p) of the tokens that it is wanted of.
  public var divergence = 0.0
  /// What the gradients are of.
  public var objective = 0.0
  /// By task, where rows are of some.
  public var tasks: [TaskLoss] = []
  /// Of the rows' domains, where a discriminator tells them.
  public var domains: TaskLoss?

  mutating func add(_ told: (loss: TaskLoss, objective: Double)?) {
    guard let told else { return }
    domains = told.loss
    objective += told.objective
  }
}

extension TrainableModel {
  /// The sums of a batch's losses, and the gradients of its objective by the named parameters.
  ///
  /// - Parameters:
  ///   - replayed: numbers of the rows that are replayed; the others are of the task
  ///   - rowWeights: of each row, for an objective that has them; empty: 1
  ///   - dropout: as in ``gradients(_:of:dropout:)``; the base's distributions are without
  public func gradients(
    _ batch: MicroBatch, of names: Set<String>, dropout: DropoutKey?, objective: Objective,
    replayed: Set<Int>,
    rowWeights: [Float] = []
  ) throws -> (sums: ObjectiveSums, gradients: [String: HostTensor]) {
    let isBalanced = objective.byTask && names.contains(TaskHead.gradientsName)
    let kept = isBalanced ? LayerInput(layer: tasks.lastLayer) : nil
    var result = try withGradients(of: names, batch) {
      let places = batch.trainedPlaces
      guard !places.isEmpty || objective.byDomain else { return ObjectiveSums() }
      guard !objective.byTask else {
        return try taskSums(
          batch, dropout: dropout, rowWeights: rowWeights, kept: kept)
      }
      let rows = batch.rows(ofPlaces: places)
      let base = try baseHead(batch, replayed: replayed, objective)
      let pass = try trainingPass(batch, dropout: dropout)
      let hidden = try transformer.hidden(batch.tokens, pass)
      let wanted = zip(places, rows).map { place, row in
        objective.wanted(
          label: batch.labels[Int(place)], isReplayed: replayed.contains(row),
          weight: objective.byRow && row < rowWeights.count ? rowWeights[row] : 1)
      }
      let outcomes =
        places.isEmpty
        ? []
        : try tape.objective(
          transformer.normed(hidden, places: places, pass), head: transformer.head.matrix, base: base,
          tokens: wanted)
      var sums = objective.sums(outcomes, wanted, isReplayed: rows.map(replayed.contains))
      if objective.byDomain { sums.add(try domainLoss(batch, hidden, pass)) }
      return sums
    }
    if let input = kept?.tensor {
      result.gradients[TaskHead.gradientsName] = try taskGradients(
        batch, input: input, dropout: dropout, rowWeights: rowWeights)
    }
    return (result.0, result.gradients)
  }

  /// The hidden states that the base model, which is this one without its adapter, has of the rows that need them.
  private func baseHead(
    _ batch: MicroBatch, replayed: Set<Int>, _ objective: Objective
  ) throws -> Tape.Head? {
    let rows = (0..<batch.rowCount).filter { objective.needsBase(isReplayed: replayed.contains($0)) }
    let part = batch.rows(rows)
    let places = part.trainedPlaces
    guard !places.isEmpty else { return nil }
    let pass = try ForwardPass(tape: tape, offsets: part.offsets, rope: rope, usesAdapters: false)
    let hidden = try transformer.hidden(part.tokens, pass)
    return (try transformer.normed(hidden, places: places, pass), transformer.head.matrix)
  }
}

extension Objective {
  fileprivate func sums(
    _ outcomes: [TokenOutcome], _ wanted: [TokenObjective], isReplayed: [Bool]
  ) -> ObjectiveSums {
    var sums = ObjectiveSums()
    for ((outcome, token), isReplayed) in zip(zip(outcomes, wanted), isReplayed) {
      let isSoft = softReplay && isReplayed
      if isReplayed {
        sums.replay += isSoft ? outcome.softLoss : outcome.loss
      } else {
        sums.task += outcome.loss
      }
      sums.divergence += outcome.divergence
      sums.objective +=
        isSoft ? outcome.softLoss : Double(token.hard) * Double(outcome.weight) * outcome.loss
      let divergence = Double(token.soft) - (isSoft ? 1 : 0)
      if divergence > 0 { sums.objective += divergence * outcome.divergence }
    }
    return sums
  }
}

extension MicroBatch {
  /// The row of each of some places, which ascend.
  func rows(ofPlaces places: [Int32]) -> [Int] {
    var row = 0
    return places.map { place in
      while row + 1 < rowCount, place >= offsets[row + 1] { row += 1 }
      return row
    }
  }

  /// Some rows by themselves.
  func rows(_ numbers: [Int]) -> MicroBatch {
    var part = MicroBatch(tokens: [], offsets: [0], labels: [])
    for row in numbers {
      let range = Int(offsets[row])..<Int(offsets[row + 1])
      part.tokens += tokens[range]
      part.labels += labels[range]
      part.offsets.append(Int32(part.tokens.count))
      if row < rowDomains.count { part.rowDomains.append(rowDomains[row]) }
    }
    return part
  }
}
