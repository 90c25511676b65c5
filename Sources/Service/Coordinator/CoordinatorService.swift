import Coordination
import Data
import Dispatch
import Foundation
import JSON
import LanguageModel
import Ledger
import Logging
import NestedLearning
import Protocol
import Transport

/// A coordinator at work: it ties the pure core to the socket, the ledger, the arithmetic and the local workers.
///
/// One thread, the caller's, owns the socket and the core. It reads like the run itself: a step is opened, waited for,
/// applied, committed. While it waits it goes on answering workers; arithmetic and disk work run on a queue beside it.
final class CoordinatorService {
  /// What other threads tell the one that owns the socket.
  enum Letter: Sendable {
    case signal(Int32)
    case childEnded(LocalWorkers.Exit)
    case workDone
  }

  enum Ending: Equatable {
    case completed
    case stoppedEarly
    /// By the user; the run can be resumed.
    case stopped
  }

  let plan: RunPlan
  let options: RunOptions
  let run: OpenRun
  let engine: StepEngine
  let logger: Logger

  var core: CoordinatorCore
  var timer = Instant.never
  let router: Router
  let mailbox: Mailbox<Letter>
  let localWorkers: LocalWorkers
  /// The connection of each local worker, what peers said in HELLO, the same by worker, when a wait was last named,
  /// and who could not be sent something.
  var localPeers: [Int: PeerID] = [:]
  var greetings: [PeerID: Hello] = [:]
  var members: [Int: Hello] = [:]
  var lastSaid = MonotonicClock.now()
  var unreachable: [(peer: PeerID, reason: String)] = []
  var refusalLog = RefusalLog()

  /// The open unit's micro-batches and the number of its trained tokens.
  var batches: [MicroBatch] = []
  var unitTokens = 0
  /// Every tier's newest parameters.
  var tiers: [TierValues] = []
  /// The message that the core is being told of, and those that it said to keep, by attempt.
  var incoming: ResultMessage?
  var payloads: [Int: ResultMessage] = [:]
  var records: [AssignmentRecord] = []
  var completed: CompletedUnit?
  var stopRequested = false
  var drained = false

  private var progress: RunProgress
  private var progressLine: ProgressLine
  private var sampler: StepSampler
  /// The last step that was committed before this coordinator took the run.
  private let replayedUpTo: Int
  /// Where arithmetic on the state and all disk work run, one after the other.
  let queue = DispatchQueue(label: "steps")

  /// - Parameter endpoint: where local workers connect.
  init(
    plan: RunPlan, run: OpenRun, options: RunOptions, router: Router, waker: Waker, endpoint: String,
    logger: Logger
  ) throws {
    self.plan = plan
    self.run = run
    self.options = options
    self.router = router
    self.logger = logger
    sampler = plan.sampler
    let mailbox = Mailbox<Letter> { waker.wake() }
    self.mailbox = mailbox
    (engine, progress) = try run.restore(plan: plan)
    replayedUpTo = try run.ledger.lastStep()
    var settings = try run.settings(plan: plan, options: options)
    options.failpoints.shorten(&settings)
    core = CoordinatorCore(settings: settings, now: MonotonicClock.now())
    localWorkers = try LocalWorkers(endpoint: endpoint, threads: options.threadsPerWorker, logger: logger) {
      mailbox.post(.childEnded($0))
    }
    progressLine = ProgressLine(
      totalSteps: plan.config.numSteps, columns: ProgressLine.terminalColumns(STDOUT_FILENO),
      now: Self.seconds())
  }

  /// Seconds on the monotonic clock.
  private static func seconds() -> Double { MonotonicClock.now().seconds(since: .zero) }

  private func show(_ text: String) {
    guard !text.isEmpty else { return }
    // A log that cannot be written, as on a full disk, is no reason to end a run.
    try? FileHandle.standardOutput.write(contentsOf: Data(text.utf8))
  }
}

// MARK: - The run

extension CoordinatorService {
  /// Trains to the end, or until the user stops it.
  func execute() throws -> Ending {
    let mailbox = mailbox
    let signals = SignalWatch { mailbox.post(.signal($0)) }
    defer {
      signals.cancel()
      localWorkers.stop()
    }
    try begin()
    defer { show(progressLine.finish()) }
    while !stopRequested {
      switch progress.next(plan.config) {
      case .train(let step): try train(step)
      case .evaluate: try evaluate()
      case .saveBest: try saveBest()
      case .saveCheckpoint: try saveCheckpoint()
      case .finish(let ending):
        try finish()
        return ending == .completed ? .completed : .stoppedEarly
      }
    }
    try stop()
    return .stopped
  }

  private func begin() throws {
    tiers = try awaiting { [engine] in engine.tierValues() }
    options.failpoints.die(at: .exitPersist)
    try run.ledger.record(tiers: tiers.map { plan.record(of: $0) })
    try handle(.parametersChanged(versions(of: tiers)))
    try localWorkers.start(count: options.localWorkers)
  }

  private func versions(of tiers: [TierValues]) -> [Int: TierVersion] {
    Dictionary(
      uniqueKeysWithValues: tiers.map { ($0.tier, TierVersion(version: $0.version, digest: $0.digest)) })
  }

  private func train(_ step: Int) throws {
    let started = MonotonicClock.now()
    batches = (0..<plan.config.gradientAccumulationSteps).map { sampler.microBatch(step: step, index: $0) }
    unitTokens = batches.reduce(0) { $0 + $1.trainedTokens }
    let due = plan.usesWindows ? plan.scheduler.tiers.map(\.index) : plan.scheduler.activeTiers(at: step)
    guard
      let unit = try compute(
        WorkUnit(
          purpose: .train, step: step, leafCount: batches.count, dueTiers: due, window: plan.usesWindows))
    else { return }
    let results = takePayloads(of: unit)
    let applied = try awaiting { [engine] in
      try engine.apply(step: step, lossSum: unit.lossSum, tokens: unit.tokens, results: results)
    }
    try commit(applied, seconds: MonotonicClock.now().seconds(since: started))
    progress.applied(step: step)
    if !applied.changed.isEmpty {
      for tier in applied.changed { tiers[tier.tier] = tier }
      try handle(.parametersChanged(versions(of: applied.changed)))
    }
    showProgress(applied)
    // A replay is over: the next crash need not repeat it.
    if step == replayedUpTo { try snapshot() }
  }

  /// One transaction, before any worker hears of the next step. A step that was committed before a crash is computed
  /// again, and must come out the same.
  private func commit(_ applied: AppliedStep, seconds: Double) throws {
    let records = takeRecords()
    options.failpoints.die(at: .exitPersist)
    if let recorded = try run.ledger.step(applied.step) {
      guard recorded.digest == applied.digest else {
        throw ServiceError(
          "step \(applied.step), computed again, has the digest \(applied.digest), but the ledger has \(recorded.digest)",
          remedy:
            "the run's files, the program or this machine's arithmetic have changed since; do not trust this run"
        )
      }
      try run.ledger.record(assignments: records)
      return
    }
    let row = plan.metrics(applied, seconds: seconds)
    let record = StepRecord(
      step: applied.step, loss: applied.loss, tokens: applied.tokens,
      learningRate: applied.outcome.learningRate,
      gradNorm: applied.outcome.gradNorm, activeTiers: applied.outcome.activeTiers, digest: applied.digest,
      seconds: seconds,
      metrics: row)
    let changed = applied.changed.map { plan.record(of: $0) }
    try awaiting { [ledger = run.ledger] in try ledger.commit(record, tiers: changed, assignments: records) }
    options.failpoints.die(at: .exitPersist)
    try run.trainMetrics.append(row, step: applied.step)
  }

  private func showProgress(_ applied: AppliedStep) {
    show(
      progressLine.step(
        applied.step, loss: applied.loss, activeTiers: applied.outcome.activeTiers, now: Self.seconds()))
  }

  private func evaluate() throws {
    let step = progress.step
    // A resumed run takes the evaluations that it has made already from the ledger.
    if let recorded = try run.ledger.evaluations().first(where: { $0.step == step }) {
      progress.evaluated(loss: recorded.loss, plan.config)
      return
    }
    let started = MonotonicClock.now()
    batches = plan.data.evaluationBatches(batchSize: plan.config.batchSize)
    unitTokens = batches.reduce(0) { $0 + $1.trainedTokens }
    guard
      let unit = try compute(WorkUnit(purpose: .evaluate, step: step, leafCount: batches.count, dueTiers: []))
    else { return }
    let loss = unit.lossSum / Double(unit.tokens)
    let isBest = loss < progress.bestLoss ?? .infinity
    let row: JSONValue = [
      "step": .number(step), "loss": .number(loss), "perplexity": .number(Evaluation.perplexity(loss)),
      "tokens": .number(unit.tokens),
    ]
    options.failpoints.die(at: .exitPersist)
    try run.ledger.record(
      evaluation: EvaluationRecord(
        step: step, loss: loss, perplexity: Evaluation.perplexity(loss), tokens: unit.tokens, isBest: isBest,
        seconds: MonotonicClock.now().seconds(since: started), metrics: row),
      assignments: takeRecords())
    options.failpoints.die(at: .exitPersist)
    try run.evalMetrics.append(row, step: step)
    progress.evaluated(loss: loss, plan.config)
    show(
      progressLine.message(
        String(
          format: "Evaluation after step %d | Loss: %.4f | Perplexity: %.2f", step, loss,
          Evaluation.perplexity(loss))
          + (isBest ? " | best so far" : "")))
  }

  private func saveBest() throws {
    try checkpoint(.best)
    progress.savedBest()
  }

  private func saveCheckpoint() throws {
    try checkpoint(.step(progress.step))
    progress.savedCheckpoint()
    try snapshot()
  }

  private func finish() throws {
    try checkpoint(.final)
    try snapshot()
    try sendWorkersAway()
  }

  /// After Ctrl-C: the step in hand has been committed, and everything needed to go on is written.
  private func stop() throws {
    if progress.step > 0 {
      try checkpoint(.step(progress.step))
      progress.savedCheckpoint()
      try snapshot()
    }
    // With an evaluation cut short, workers of other machines are left to join again when the run goes on.
    if core.status.unit == nil { try sendWorkersAway() }
  }

  private func checkpoint(_ kind: CheckpointWriter.Kind) throws {
    options.failpoints.die(at: .exitPersist)
    let (plan, run, progress) = (plan, run, progress)
    try awaiting { [engine] in try run.writeCheckpoint(kind, plan: plan, progress: progress, engine: engine) }
  }

  private func snapshot() throws {
    options.failpoints.die(at: .exitPersist)
    let (run, progress) = (run, progress)
    try awaiting { [engine] in try run.writeSnapshot(engine: engine, progress: progress) }
  }
}
