import NestedLearning
import WireProtocol

@testable import Coordination
@testable import Training

/// A run that is told its story event by event, with a real engine beside it; what it wants done comes as lines.
struct RunScene {
  /// The data: one row of two trained tokens in every micro-batch.
  struct Rows: BatchSource {
    let count: Int

    func microBatches(step: Int) -> [AssignedMicroBatch] {
      (0..<count).map {
        AssignedMicroBatch(number: $0, tokens: [1, 2, 3], offsets: [0, 3], labels: [-100, 2, 3])
      }
    }

    func evaluationTokens() -> [Int] { microBatches(step: 0).map(\.trainedTokens) }
    func evaluationBatch(_ number: Int) -> AssignedMicroBatch { microBatches(step: 0)[number] }
  }

  var run: RunCore
  let engine: StepEngine
  /// The unit that is open, the write that is to be answered, and when the run wants to be told of the time.
  private(set) var unit: WorkUnit?
  private(set) var write: RunWrite?
  private(set) var timer = Instant.never
  private(set) var applied: AppliedStep?
  /// What the unit that was computed last came to.
  private(set) var counted: CountedResult?

  /// - Parameter changes: to a config of 4 steps of 2 micro-batches, tiers at 1 and 2, an evaluation after steps 2 and 4.
  init(_ changes: (inout NestedLearningConfig) -> Void = { _ in }) throws {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    config.numTiers = 2
    config.tierUpdateFrequencies = [1, 2]
    config.gradientAccumulationSteps = 2
    config.learningRate = 0.1
    config.warmupSteps = 0
    config.numSteps = 4
    config.evalEvery = 2
    config.checkpointEvery = 100
    config.earlyStop = false
    changes(&config)
    let scheduler = try ParameterTierScheduler(
      config: config,
      parameters: (0..<2).map { (layer: Int) in
        TrainableParameter(name: "p\(layer)", module: "m\(layer)", layer: layer, count: 2)
      })
    let state = try NestedTrainerState(
      config: config, scheduler: scheduler, parameters: ["p0": [1, 2], "p1": [3, 4]],
      shapes: ["p0": [2], "p1": [2]])
    engine = StepEngine(state: state)
    var rules = RunRules(
      config: config, plan: TierPlan(scheduler: scheduler),
      batches: Rows(count: config.gradientAccumulationSteps), stateBytes: 1 << 40, resumeCommand: "resume RUN"
    )
    rules.graceSeconds = 7
    run = RunCore(rules: rules, now: .zero)
  }

  /// Tells the run of an event at a time.
  ///
  /// - Returns: what it wants done, a line each.
  mutating func at(_ seconds: Double, _ event: RunEvent) -> [String] {
    let effects = run.step(event, now: .zero + seconds)
    for effect in effects {
      switch effect {
      case .open(let unit): self.unit = unit
      case .write(let write): self.write = write
      case .adopt(let plan): engine.adopt(plan)
      case .armTimer(let time): timer = time
      default: break
      }
    }
    return effects.compactMap(Self.line)
  }

  /// The state as it was before step 1, or after a step that a snapshot has.
  mutating func restored(
    _ seconds: Double, lastStep: Int = 0, evaluations: [Int: Double] = [:], toUndo: [String] = [],
    shards: [Int: [ComputedShard]] = [:]
  ) -> [String] {
    at(
      seconds,
      .restored(
        RestoredRun(
          progress: RunProgress(), tiers: engine.tierValues(), lastStep: lastStep, evaluations: evaluations,
          toUndo: toUndo, shards: shards)))
  }

  /// The last write is on the disk.
  mutating func written(_ seconds: Double, _ outcome: RunWriteOutcome = .done) -> [String] {
    at(seconds, .written(write?.id ?? 0, outcome))
  }

  mutating func disk(_ seconds: Double, _ reason: String) -> [String] {
    at(seconds, .writeFailed(write?.id ?? 0, .mayPass(.disk, reason)))
  }

  /// The open unit is computed: gradients of ones, or a loss of 2 a token.
  mutating func computed(_ seconds: Double, loss: Double = 8) -> [String] {
    guard let unit else { return ["nothing is open"] }
    let gradients = unit.dueTiers.map { TierGradient(tier: $0, floats: [1, -1]) }
    let message = ResultMessage(attempt: 1, lossSum: loss, tokens: 4, seconds: 1, gradients: gradients)
    let shard = Shard(node: .root(count: unit.leafCount), tiers: unit.dueTiers)
    let counted = CountedResult(
      shard: shard, step: unit.step, attempt: 1, workerID: 1, identity: "h/1",
      digest: ShardDigest(ResultSummary(message)))
    self.counted = counted
    let done = CompletedUnit(
      unit: unit, lossSum: 8, tokens: 4,
      results: [counted])
    return at(seconds, .unitComplete(done, [UnitResult(counted, message)]))
  }

  /// The engine applies the step whose unit was computed last.
  mutating func apply(_ seconds: Double) throws -> [String] {
    guard let unit else { return ["nothing is open"] }
    let gradients = unit.dueTiers.map { TierGradient(tier: $0, floats: [1, -1]) }
    let message = ResultMessage(attempt: 1, lossSum: 8, tokens: 4, seconds: 1, gradients: gradients)
    let shard = Shard(node: .root(count: unit.leafCount), tiers: unit.dueTiers)
    if unit.isSummedAsItComes { try engine.collect(message, of: shard, in: unit) }
    let applied = try engine.apply(
      step: unit.step, losses: StepLosses(task: 8, taskTokens: 4),
      results: [UnitResult(shard: shard, step: unit.step, message: message)])
    self.applied = applied
    return at(seconds, .applied(applied))
  }

  /// A whole step, from its unit to its commit.
  mutating func step(_ seconds: Double) throws -> [String] {
    try computed(seconds) + apply(seconds) + written(seconds)
  }

  /// Restored and published: step 1 is open.
  mutating func begin(_ seconds: Double = 0) {
    _ = restored(seconds)
    _ = written(seconds)
  }

  // MARK: - Lines

  /// Times, metrics and timers are left out.
  static func line(_ effect: RunEffect) -> String? {
    switch effect {
    case .publish(let tiers, let windows):
      "publish \(tiers.count) tiers" + (windows == nil ? "" : " and windows")
    case .parametersChanged(let tiers): "tiers \(tiers.keys.sorted()) have changed"
    case .adopt(let plan): "adopt plan \(plan.number): \(plan.scheduler.periodsText)"
    case .open(let unit):
      "open \(unit), tiers \(unit.dueTiers)" + (unit.isFlush ? ", flush" : "")
        + (unit.isVerified ? ", by two" : "") + (unit.parts.map { ", \($0.count) parts" } ?? "")
    case .completeWindows(let request): "complete windows of \(request.tiers) through \(request.through)"
    case .hurry: "hurry"
    case .abandon: "abandon"
    case .acknowledge(let unit): "acknowledge \(unit)"
    case .distrust(let id, let identity, _): "distrust worker \(id), \(identity)"
    case .rest(let rests): rests ? "the workers are free" : "the workers are wanted"
    case .drain: "drain"
    case .keep(let results): "keep \(results.count)"
    case .audit: "audit"
    case .apply(let step, _, let results, _): "apply step \(step), \(results.count) results"
    case .skip(let step, _): "skip step \(step)"
    case .restore(let isCertain): isCertain ? "restore to be certain" : "restore"
    case .write(let write): line(write)
    case .reopenLedger: "reopen the ledger"
    case .tell(.notice(let text)), .tell(.error(let text)): text
    case .tell, .armTimer: nil
    case .end(let ending): "end: \(ending)"
    }
  }

  private static func line(_ write: RunWrite) -> String {
    "write: \(write.doing)" + (write.attempts.isEmpty ? "" : ", \(write.attempts.count) hand-outs")
      + (write.workers.isEmpty ? "" : ", \(write.workers.count) news of workers")
      + (write.isRepeated ? ", once more" : "")
  }
}

extension EndedAttempt {
  /// A hand-out that ended.
  static func ended(_ attempt: Int, _ outcome: AttemptOutcome) -> EndedAttempt {
    EndedAttempt(
      attempt: attempt, purpose: .train, step: 1, firstMicroBatch: 0, lastMicroBatch: 1, tiers: [0],
      workerID: 1, handedOut: .zero, finished: .zero + 1, outcome: outcome, verified: false)
  }
}
