import Coordination
import Foundation
import JSON
import LanguageModel
import NestedLearning
import Tensors
import Training
import WireProtocol

/// The arithmetic of a worker: a model, the newest parameters of each tier, and the gradients of shards. Belongs to
/// one queue.
final class ShardComputer: @unchecked Sendable {
  private let pool: ThreadPool
  private let source: ModelSource
  private let failpoints: Failpoints
  /// The models that are loaded; the one in use is the last.
  private(set) var models = LoadedModels()
  private var loaded: LoadedModels.Entry? {
    get { models.current }
    set { models.current = newValue }
  }
  private var chains = WorkerChains()
  /// The last result, until the coordinator has answered it: if its connection breaks, the same is asked for again.
  private var unanswered: Unanswered?

  /// A result that depends on nothing but its assignment and the parameters.
  private struct Unanswered {
    let key: LoadedModels.Key
    let assignment: AssignMessage
    /// By tier.
    let digests: [String]
    let result: ResultMessage
  }

  init(threads: Int, source: ModelSource, failpoints: Failpoints, modelBytes: Int? = nil) throws {
    pool = try ThreadPool(threads: threads)
    self.failpoints = failpoints
    self.source = source
    models.limit = modelBytes ?? LoadedModels.usualLimit
    chains.threads = threads
    chains.tamper = failpoints.tamper(withChain:)
  }

  /// Loads the model that the coordinator asks for, unless it is one of those that are loaded; the one that was used
  /// least recently makes room.
  ///
  /// - Parameter channel: where it is fetched from, if it is not here.
  /// - Returns: the SHA-256 of the model folder.
  /// - Throws: if its content is not the coordinator's, or it can be neither found nor fetched.
  func load(_ run: EnterRun, channel: ModelChannel) throws -> String {
    // Chains belong to a run.
    chains.removeAll()
    let profile = run.numericProfile ?? NumericProfile.name(of: .f32)
    guard let precision = NumericProfile.precision(named: profile) else {
      throw ServiceError(
        "the run is computed in the numeric profile \"\(profile)\", which this program does not have",
        remedy: "install the coordinator's release here")
    }
    let key = try LoadedModels.Key(run, precision: precision)
    if models.take(key) { return run.modelSHA256 }
    if let memory = try ContinuumMemory(run, pool: pool) {
      try check(key.layout, memory)
      models.makeRoom(for: memory.shape.byteCount)
      models.add(LoadedModels.Entry(key: key, model: memory, bytes: memory.shape.byteCount))
      return run.modelSHA256
    }
    let folder = try source.folder(for: run, channel: channel)
    let trainable: Trainable =
      run.trainable == "full"
      ? .full : .lora(try LoRASpecification(json: run.trainable, file: "ENTER_RUN"))
    let bytes = try LoadedModels.bytes(of: folder, trainsAll: trainable == .full)
    models.makeRoom(for: bytes)
    // The coordinator has looked at every weight of this very content.
    let model = try TrainableModel(
      folder: folder, trainable: trainable, pool: pool, scansForNonFinite: false, precision: precision,
      recomputesLayers: run.recomputesLayers)
    try check(key.layout, model)
    models.add(LoadedModels.Entry(key: key, model: model, bytes: bytes))
    return run.modelSHA256
  }

  private func check(_ layout: TierLayout, _ model: any TrainableNetwork) throws {
    let shapes = Dictionary(uniqueKeysWithValues: model.parameters.map { ($0.name, $0.shape) })
    for parameter in layout.tiers.joined() where shapes[parameter.name] != parameter.shape {
      throw ServiceError(
        "the coordinator trains \(parameter.name) with the shape \(parameter.shape), which this model does not have"
      )
    }
  }

  /// Takes up a model that was loaded by its owner, as if it had come with ENTER_RUN.
  func use(_ model: any TrainableNetwork, for run: EnterRun, precision: Precision) throws {
    chains.removeAll()
    let key = try LoadedModels.Key(run, precision: precision)
    try check(key.layout, model)
    models.add(LoadedModels.Entry(key: key, model: model, bytes: 0))
  }

  /// Sets a tier's parameters.
  func apply(_ message: ParametersMessage) throws {
    guard let loaded, loaded.key.layout.tiers.indices.contains(message.tier) else {
      throw ServiceError("parameters of tier \(message.tier) came, which this run does not have")
    }
    var values = GradientSums()
    try message.values.withFloats { try loaded.key.layout.split(tier: message.tier, $0, into: &values) }
    for (name, values) in values {
      try values.withUnsafeBufferPointer { try loaded.model.setParameter(name, $0) }
    }
    self.loaded?.versions[message.tier] = message.version
    self.loaded?.digests[message.tier] = message.values.sha256
  }

  /// Takes over chains of windows, to go on from them.
  func take(_ message: WindowMessage) throws {
    guard let loaded else { throw ServiceError("chains came before the model") }
    try chains.take(message, layout: loaded.key.layout)
  }

  /// What this machine's arithmetic comes to.
  func compute(_ probe: Probe) throws -> String {
    try NumericProbe.sha256(seed: probe.seed, threads: pool, precision: loaded?.key.precision ?? .f32)
  }

  /// The coordinator has answered the result of an attempt.
  func forget(attempt: Int) { if unanswered?.assignment.attempt == attempt { unanswered = nil } }

  /// The result of the same shard, with the same parameters, under another attempt, if it has not been answered.
  private func unanswered(_ message: AssignMessage, _ loaded: LoadedModels.Entry) -> ResultMessage? {
    guard let unanswered, unanswered.key == loaded.key, unanswered.digests == loaded.digests else {
      return nil
    }
    var assignment = unanswered.assignment
    assignment.attempt = message.attempt
    guard assignment == message else { return nil }
    var result = unanswered.result
    result.attempt = message.attempt
    self.unanswered = Unanswered(
      key: loaded.key, assignment: message, digests: loaded.digests, result: result)
    return result
  }

  /// Computes a shard: the loss of its micro-batches and the gradients of its tiers. Or collects chains.
  ///
  /// - Throws: `TensorError.cancelled` when the watch says so.
  func compute(_ message: AssignMessage, watch: ComputationWatch) throws -> ResultMessage {
    guard let loaded else { throw ServiceError("a shard came before the model") }
    if message.purpose == .collect { return try chains.collect(message) }
    let trace =
      message.purpose == .train
      ? ShardTrace(
        message, layout: loaded.key.layout, layerCount: loaded.model.layerCount, threads: pool)
      : nil
    (loaded.model.watch, loaded.model.trace) = (watch, trace?.layers)
    defer { (loaded.model.watch, loaded.model.trace) = (nil, nil) }
    guard loaded.versions == message.parameterVersions else {
      throw ServiceError(
        "the shard needs tier versions \(message.parameterVersions), this worker has \(loaded.versions)")
    }
    if let result = unanswered(message, loaded) { return result }
    try failpoints.beforeShard(of: message)
    try chains.check(message)
    let started = MonotonicClock.now()
    let node = TreeNode(level: message.level, index: message.index)
    let first = node.leaves(count: message.leafCount).lowerBound
    var scaled: [WindowKey: [Float]] = [:]
    var numbers: [TierGradient] = []
    let sum = try ReductionTree.reduce(
      node, count: message.leafCount,
      leaf: { g in
        guard message.measure?.isByMicroBatch != true else {
          let measured = try self.numbers(of: message.microBatches[g - first], message, loaded)
          numbers.append(TierGradient(tier: 0, microBatch: g, floats: measured))
          let loss = message.measure == .tokenLosses ? measured.reduce(0) { $0 + Double($1) } : 0
          return LeafSum(loss: loss, tiers: [:])
        }
        let leaf = try leafSum(of: message.microBatches[g - first], message, loaded, trace)
        guard message.window else { return leaf }
        for (tier, values) in leaf.tiers {
          scaled[WindowKey(tier: tier, microBatch: g)] = GradientWindow.scaled(
            values, trainedTokens: message.stepTokens)
        }
        return LeafSum(loss: leaf.loss, terms: leaf.terms, tiers: [:])
      },
      add: { try $0.add($1) })
    var outcome = WorkerChains.Outcome()
    if !message.windows.isEmpty {
      outcome = try chains.add(scaled, message) { trace?.add(sum: $1, tier: $0.tier) }
    } else if message.window {
      outcome.gradients = scaled.map { TierGradient(tier: $0.tier, microBatch: $0.microBatch, floats: $1) }
    } else {
      outcome.gradients = sum.tiers.map { TierGradient(tier: $0.key, floats: $0.value) }
      for (tier, values) in sum.tiers { trace?.add(sum: values, tier: tier) }
    }
    if message.measure?.isByMicroBatch == true { outcome.gradients = numbers }
    let gradients = outcome.gradients.sorted { ($0.tier, $0.microBatch ?? 0) < ($1.tier, $1.microBatch ?? 0) }
    var result = ResultMessage(
      attempt: message.attempt, lossSum: sum.loss, terms: message.purpose == .recompute ? nil : sum.terms,
      tokens: message.microBatches.reduce(0) { $0 + $1.trainedTokens },
      seconds: MonotonicClock.now().seconds(since: started), progress: watch.steps,
      gradients: message.digestOnly ? [] : gradients,
      digests: message.digestOnly ? gradients.map(GradientDigest.init) : [], chains: outcome.chains,
      windows: outcome.reports, layers: trace?.digests)
    if message.accuracy { result.correct = sum.correct }
    if message.windows.isEmpty {
      unanswered = Unanswered(key: loaded.key, assignment: message, digests: loaded.digests, result: result)
    }
    return result
  }

  private func leafSum(
    of microBatch: AssignedMicroBatch, _ message: AssignMessage, _ loaded: LoadedModels.Entry,
    _ trace: ShardTrace?
  ) throws -> LeafSum {
    let started = MonotonicClock.now()
    defer { failpoints.afterMicroBatch(seconds: MonotonicClock.now().seconds(since: started)) }
    let batch = MicroBatch(microBatch)
    guard message.purpose != .evaluate else {
      if loaded.key.objective?.byTask == true {
        let tasks = try languageModel(loaded).taskScores(batch).map(TaskSums.init)
        let loss = tasks.reduce(0) { $0 + $1.loss }
        guard loss.isFinite else { throw NotFiniteError(message, microBatch.number, "the loss") }
        return LeafSum(loss: loss, terms: ObjectiveTerms(tasks: tasks), tiers: [:])
      }
      if message.accuracy { return try scored(batch, microBatch, message, loaded) }
      let loss =
        try message.adapterScale.map { try languageModel(loaded).evaluate(batch, adapterScale: $0) }
        ?? loaded.model.evaluate(batch)
      guard loss.isFinite else { throw NotFiniteError(message, microBatch.number, "the loss") }
      return LeafSum(loss: loss, tiers: [:])
    }
    let names = message.tiers.flatMap { loaded.key.layout.tiers[$0].map(\.name) }
    let dropout = message.dropoutSeed.map {
      DropoutKey(seed: $0, step: message.step, microBatch: microBatch.number)
    }
    var (sum, gradients) = try gradients(
      of: batch, replayed: Set(microBatch.replayedRows), weights: microBatch.rowWeights, Set(names), dropout,
      loaded)
    guard sum.loss.isFinite, sum.terms?.isFinite ?? true else {
      throw NotFiniteError(message, microBatch.number, "the loss")
    }
    trace?.add(loss: sum.loss, terms: sum.terms)
    for tier in message.tiers {
      var values = loaded.key.layout.joined(tier: tier) { gradients[$0]?.values ?? [] }
      if message.measure == .squaredGradients { values = Vectors.squares(values) }
      failpoints.tamper(with: &values)
      // Of what goes into a chain or comes back as a digest nobody else could tell.
      guard Vectors.isFinite(values) else {
        throw NotFiniteError(message, microBatch.number, "a gradient of tier \(tier)")
      }
      trace?.add(gradient: values, tier: tier)
      sum.tiers[tier] = values
    }
    return sum
  }
}

extension ShardComputer {
  /// The loss of a micro-batch, which is that of `evaluate` to the bit, and how many tokens are right.
  private func scored(
    _ batch: MicroBatch, _ microBatch: AssignedMicroBatch, _ message: AssignMessage,
    _ loaded: LoadedModels.Entry
  ) throws -> LeafSum {
    let scores = try languageModel(loaded).scores(batch)
    let loss = scores.losses.reduce(0, +)
    guard loss.isFinite else { throw NotFiniteError(message, microBatch.number, "the loss") }
    return LeafSum(loss: loss, correct: scores.correct, tiers: [:])
  }

  /// What is wanted of a micro-batch by itself, in place of gradients.
  private func numbers(
    of microBatch: AssignedMicroBatch, _ message: AssignMessage, _ loaded: LoadedModels.Entry
  ) throws -> [Float] {
    var numbers =
      try message.sampling.map { try SelfReplay($0, of: microBatch).numbers(with: languageModel(loaded)) }
      ?? languageModel(loaded).tokenLosses(MicroBatch(microBatch))
    failpoints.tamper(with: &numbers)
    guard Vectors.isFinite(numbers) else { throw NotFiniteError(message, microBatch.number, "the loss") }
    return numbers
  }

  private func languageModel(_ loaded: LoadedModels.Entry) throws -> TrainableModel {
    guard let model = loaded.model as? TrainableModel else {
      throw ServiceError("the run asks for what only language models have")
    }
    return model
  }

  private func gradients(
    of batch: MicroBatch, replayed: Set<Int>, weights: [Float], _ names: Set<String>, _ dropout: DropoutKey?,
    _ loaded: LoadedModels.Entry
  ) throws -> (LeafSum, [String: HostTensor]) {
    guard let objective = loaded.key.objective else {
      let (loss, gradients) = try loaded.model.gradients(batch, of: names, dropout: dropout)
      return (LeafSum(loss: loss, tiers: [:]), gradients)
    }
    let (sums, gradients) = try languageModel(loaded).gradients(
      batch, of: names, dropout: dropout, objective: objective, replayed: replayed, rowWeights: weights)
    return (LeafSum(loss: sums.task, terms: ObjectiveTerms(sums), tiers: [:]), gradients)
  }
}

/// The loss and the gradients of some micro-batches.
private struct LeafSum {
  var loss: Double
  var terms: ObjectiveTerms?
  /// Tokens that are right, if they are counted.
  var correct = 0
  /// By tier, in the layout of ENTER_RUN.
  var tiers: [Int: [Float]]

  mutating func add(_ other: LeafSum) throws {
    loss += other.loss
    correct += other.correct
    if let own = terms, let others = other.terms { terms = own + others }
    for (tier, values) in other.tiers { Vectors.add(values, to: &tiers[tier, default: []]) }
  }
}
