import Coordination
import NestedLearning
import WireProtocol

/// The course of one run: what is computed next, what it came to, what is written down, and in which order.
///
/// Pure: the same state, event and time give the same effects. A driver has the fleet compute what is opened, the
/// engine do the arithmetic, the store write; each answers by an event, and until it has, nothing else is begun that
/// depends on it. So what lies between two units reads from top to bottom:
///
///     restore → publish → open → (audit) → keep → complete windows → apply → commit → (snapshot) → open → …
///
/// with evaluations, checkpoints, pauses, rollbacks and the end between two steps.
package struct RunCore: Sendable {
  package let rules: RunRules

  /// Where the run stands between steps.
  package internal(set) var progress = RunProgress() {
    didSet { batches.followed = progress.followed }
  }
  /// The last step that was committed when the state was restored: up to here steps are computed again.
  package internal(set) var replayedUpTo = 0
  /// `snapshots`: when the next one is due, and the seconds that were spent on them.
  package internal(set) var snapshots: SnapshotSchedule

  /// The tier plans up to the present one.
  var plans: PlanCourse
  /// The one that the next step goes by.
  package var plan: TierPlan { plans.plan }

  var stage = Stage.begun
  /// Every tier's newest parameters, and those of past steps that windows may need again.
  var tiers: [TierValues] = []
  /// What evaluations are of, where that is an earlier version of tier 0: the slowest copy of `tier_mode: consolidate`.
  var slowestCopy: TierValues?
  var history = ParameterHistory()
  var batches: BatchCache
  /// By step: losses of evaluations that an earlier coordinator has recorded.
  var recordedEvaluations: [Int: Double] = [:]
  /// By step: the tasks that these have found to be the worst.
  var recordedWorstTasks: [Int: Int] = [:]
  /// By step: what these came to where right tokens were counted.
  var recordedAccuracies: [Int: EvaluatedAccuracy] = [:]

  /// For the ledger, with the next write: hand-outs that are over, workers that came and went.
  var attempts: [EndedAttempt] = []
  var workerNews: [WorkerNews] = []
  /// Attempts whose partial sums others have computed again, to the same bits.
  var auditedAttempts = Set<Int>()
  /// Some of these may have been written before.
  var hasTakenBack = false
  /// `newsDue`: when worker news are written without waiting for the next write; nil if none wait.
  var newsDue: Instant?
  /// Worker news that are being written by themselves.
  var newsOnTheWay: RunWrite?
  var lastWriteID = 0

  /// Identities in quarantine whose unverified results are to be undone before anything else.
  var toUndo = Set<String>()
  var quarantined = Set<String>()
  /// A unit was not used after the fleet had noted what it brought: the windows are no longer what the fleet takes
  /// them for, so they come from the last snapshot again.
  var windowsAreVoid = false
  /// A step was given up that workers may have added to their partial sums already.
  var windowsAreAhead = false
  /// Whether all windows are here after the last step, so that a snapshot can be taken.
  var windowsAreHere = true
  /// A replay has come out otherwise: until it is over, two workers have to agree on every shard.
  var isCertain = false
  /// By step of a replay: the shards that it was committed from.
  var recordedShards: [Int: [ComputedShard]] = [:]
  /// What the replay came to before it was begun again, where that is not what the record has.
  var doubtedShards: [Int: [ComputedShard]] = [:]
  /// A unit was left uncomputed as the run was asked to stop.
  var hasLeftUnit = false

  /// Since the last committed step.
  var traffic: Traffic
  /// What of the seconds spent on snapshots is in the metrics.
  var snapshotSecondsTold = 0.0

  /// Nil unless the run was asked to stop: until when the step in hand may take.
  package internal(set) var stopDeadline: Instant?
  /// Whether the run was asked to rest.
  var pauseRequested = false

  var effects: [RunEffect] = []
  private var armed = Instant.never

  package init(rules: RunRules, now: Instant) {
    self.rules = rules
    plans = PlanCourse(config: rules.config, scheduler: rules.plan.scheduler)
    snapshots = SnapshotSchedule(step: 0, bytes: rules.stateBytes, now: now.seconds(since: .zero))
    batches = BatchCache(rules.batches)
    traffic = Traffic(tierCount: rules.plan.scheduler.tiers.count)
  }

  /// Takes up the run; to be called once, before any event.
  package mutating func begin(now: Instant) -> [RunEffect] {
    effects = [.restore(isCertain: false)]
    defer { effects = [] }
    return effects
  }

  /// Takes one event and says what is to be done. `now` must not go backwards.
  package mutating func step(_ event: RunEvent, now: Instant) -> [RunEffect] {
    if case .ended = stage { return [] }
    take(event, now: now)
    arm(now: now)
    defer { effects = [] }
    return effects
  }

  private mutating func take(_ event: RunEvent, now: Instant) {
    switch event {
    case .restored(let run): restored(run, now: now)
    case .restoreFailed(let error), .engineFailed(let error): fail(error, now: now)
    case .unitComplete(let unit, let results): complete(unit, results, now: now)
    case .unitLeft(let unit): left("\(unit)", because: "no worker is left", now: now)
    case .windowsComplete(let oldest): windowsCame(oldestStep: oldest, now: now)
    case .windowsLost: windowsAreLost(now: now)
    case .quarantined(let id, let identity, let reason): quarantine(id, identity, reason, now: now)
    case .unitFailed(let reason):
      fail(TrainingError(reason, remedy: "\(rules.resumeCommand) goes on from here"), now: now)
    case .attemptEnded(let record): attempts.append(record)
    case .worker(let news): note(news, due: now + 1)
    case .sent(let bytes): traffic.count(bytes)
    case .drained: drained(now: now)
    case .kept: kept(now: now)
    case .judged(let verdicts): judged(verdicts, now: now)
    case .applied(let applied): self.applied(applied, now: now)
    case .adopted: adopted(now: now)
    case .written(let id, let outcome): written(id, outcome, now: now)
    case .writeFailed(let id, let failure): writeFailed(id, failure, now: now)
    case .reopened: writeAgain(now: now)
    case .reopenFailed(let failure): reopenFailed(failure, now: now)
    case .stop(let deadline): stop(by: deadline, now: now)
    case .pause: pauseRequested = true
    case .resume: resume(now: now)
    case .timer: judgeDeadlines(now: now)
    }
  }

  /// What comes next, between two steps. The one place that decides what follows a unit.
  mutating func goOn(now: Instant) {
    if stopDeadline != nil { return beginStop(now: now) }
    if !toUndo.isEmpty || windowsAreVoid { return rollBack(now: now) }
    if pauseRequested { return beginPause(now: now) }
    switch progress.next(rules.config, isMeasuring: rules.measurement != nil) {
    case .train(let step): train(step, now: now)
    case .evaluate: evaluate(now: now)
    case .saveBest: write(.checkpoint(.best, progress, isReplay: isReplay), then: .savedBest, now: now)
    case .saveCheckpoint:
      write(
        .checkpoint(.step(progress.step), progress, isReplay: isReplay), then: .savedCheckpoint, now: now)
    case .evaluateScale(let scale): evaluate(scale: scale, now: now)
    case .saveScaled:
      let kind = CheckpointKind.scaled(progress.selectedScale)
      write(.checkpoint(kind, progress, isReplay: isReplay), then: .savedScaled, now: now)
    case .finish(let ending):
      completeWindows(
        plan.openTiers(after: progress.step), through: progress.step,
        for: .finish(ending == .completed ? .completed : .stoppedEarly), now: now)
    }
  }

  /// Whether the last step was committed before this coordinator took the run, or rolled it back.
  var isReplay: Bool { progress.step <= replayedUpTo }

  mutating func tell(_ news: RunNews) { effects.append(.tell(news)) }

  // MARK: - Time

  private mutating func judgeDeadlines(now: Instant) {
    if let due = newsDue, due <= now { writeNews(now: now) }
    if case .waitingForDisk(let pause) = stage, pause.nextTry <= now { return tryDiskAgain(now: now) }
    guard let stopDeadline else { return }
    if stopDeadline <= now, case .computing(let inHand) = stage {
      left("\(inHand.unit)", because: graceIsOver, now: now)
    }
    // Half of the time for closing may go to what windows lack, the other half is for writing.
    if windowDeadline <= now {
      switch stage {
      case .completing, .auditing: left("what windows lack", because: graceIsOver, now: now)
      default: break
      }
    }
    guard stopDeadline + rules.closingSeconds <= now else { return }
    // What is left to do then is no reason to call it a failure.
    if let ending = stage.writtenEnding { return end(ending) }
    end(
      .failed(
        TrainingError(
          "the run could not be written down within \(Int(rules.closingSeconds)) s after --grace",
          remedy: "the run can be resumed from its last snapshot")))
  }

  private var windowDeadline: Instant { (stopDeadline ?? .never) + rules.closingSeconds / 2 }

  private mutating func arm(now: Instant) {
    var next = newsDue ?? .never
    if case .waitingForDisk(let pause) = stage { next = min(next, pause.nextTry) }
    if let stopDeadline {
      let deadlines = [stopDeadline, windowDeadline, stopDeadline + rules.closingSeconds]
      next = min(next, deadlines.first { $0 > now } ?? .never)
    }
    if case .ended = stage { next = .never }
    guard next != armed || armed <= now else { return }
    armed = next
    effects.append(.armTimer(next))
  }
}

extension RunCore {
  /// What the run waits for.
  enum Stage: Sendable {
    /// Its state is being restored.
    case begun
    /// A step's or an evaluation's unit is open.
    case computing(UnitInHand)
    /// What windows lack is being brought here.
    case completing(WindowRequest, WindowGoal)
    /// Others compute again what partial sums are made of.
    case auditing(Audit)
    /// The engine compares them.
    case judging(Audit)
    /// The engine takes what results bring of windows.
    case keeping(KeepGoal)
    case applying(StepInHand)
    /// The engine takes the periods of the newest tier plan.
    case adopting(since: Instant)
    case writing(PendingWrite)
    case waitingForDisk(DiskPause)
    /// Nothing is to be done until `resume`.
    case paused(since: Instant)
    /// The workers are being let go.
    case draining(RunEnding)
    case ended

    /// How the run ends, if all that it needs to go on is written.
    var writtenEnding: RunEnding? {
      switch self {
      case .draining(let ending): ending
      case .writing(let pending):
        if case .end(let ending) = pending.next { ending } else { nil }
      default: nil
      }
    }
  }

  /// A unit that is being computed.
  struct UnitInHand: Sendable {
    let unit: WorkUnit
    let began: Instant
  }

  /// A step that is computed.
  struct StepInHand: Sendable {
    let unit: WorkUnit
    let losses: StepLosses
    let results: [UnitResult]
    /// When it was handed out, and when the engine was told to apply it.
    let began: Instant
    var applying = Instant.never
  }

  /// What windows are completed for.
  enum WindowGoal: Sendable {
    case apply(StepInHand)
    case snapshot(SnapshotReason)
    case finish(RunEnding)
  }

  /// What is done once results are kept.
  enum KeepGoal: Sendable {
    case step(StepInHand)
    case windows(WindowRequest, WindowGoal)
  }

  /// Partial sums that others compute again before they are used.
  struct Audit: Sendable {
    let audits: [WindowAudit]
    /// What has come, and is used only if they hold up.
    let results: [UnitResult]
    /// Units that are still to be computed, after the open one.
    var rest: ArraySlice<WorkUnit>
    let goal: KeepGoal
  }

  /// Why a snapshot is taken, which decides what follows it.
  enum SnapshotReason: Sendable {
    case due
    case pause
    case stop
    case end(RunEnding)
  }
}
