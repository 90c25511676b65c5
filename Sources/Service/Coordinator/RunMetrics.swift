import Coordination
import CoreMetrics
import Foundation
import Observability
import Training

/// What a coordinator counts for `/metrics`: the run's place, its workers and shards, bytes, and where the time goes.
/// Belongs to the thread that owns the run; whoever reads gets the newest values.
final class RunMetrics {
  private let registry: MetricsRegistry
  /// What tells this run's series from those of others.
  private let own: [(String, String)]
  private let step, lastStep: Meter
  private let steps, expired, backups: Counter
  private let tokens: Counter
  private let stepTime, commitTime: CoreMetrics.Timer
  /// Of the core's counts, what is in the metrics.
  private var told = (expired: 0, backups: 0)

  /// - Parameter isOneOfMany: every series names the run
  init(
    _ registry: MetricsRegistry, run: String, program: String, numSteps: Int, isOneOfMany: Bool = false
  ) {
    self.registry = registry
    let own = isOneOfMany ? [("run", run)] : []
    self.own = own
    for (name, help) in Self.help { registry.describe(name, help) }
    func meter(_ name: String) -> Meter { Meter(label: name, dimensions: own, factory: registry) }
    func counter(_ name: String) -> Counter { Counter(label: name, dimensions: own, factory: registry) }
    step = meter("nl_step")
    lastStep = meter("nl_configured_steps")
    steps = counter("nl_steps_total")
    tokens = counter("nl_trained_tokens_total")
    expired = counter("nl_leases_expired_total")
    backups = counter("nl_backups_total")
    stepTime = CoreMetrics.Timer(label: "nl_step_seconds", dimensions: own, factory: registry)
    commitTime = CoreMetrics.Timer(label: "nl_ledger_commit_seconds", dimensions: own, factory: registry)
    lastStep.set(numSteps)
    Meter(label: "nl_run_info", dimensions: [("run", run), ("program", program)], factory: registry).set(1)
    // A series that is there from the beginning can be asked for its growth.
    for phase in RunPhase.allCases { spent(0, on: phase) }
    for counter in [steps, tokens, expired, backups] { counter.increment(by: 0) }
  }

  private static let help = [
    "nl_run_info": "The run's name and the program's version, in labels; always 1.",
    "nl_step": "The last step that was committed.",
    "nl_configured_steps": "How many steps the run is to have (num_steps).",
    "nl_loss": "Mean loss over the trained tokens of the last step.",
    "nl_evaluation_loss": "Mean loss of the last evaluation.",
    "nl_evaluation_accuracy":
      "Share of tokens of the last evaluation whose likeliest token was right, where that is counted.",
    "nl_task_loss": "Mean loss over the labels of a task at the last evaluation.",
    "nl_task_accuracy": "Share of labels of a task that were the likeliest at the last evaluation.",
    "nl_task_f1": "Macro F1 of a task at the last evaluation.",
    "nl_learning_rate": "Learning rate of the last step.",
    "nl_gradient_norm": "Norm of the gradients of the last step before clipping.",
    "nl_tokens_per_second": "Trained tokens of the last step divided by its time.",
    "nl_steps_total": "Steps committed by this process.",
    "nl_trained_tokens_total": "Tokens trained on by this process.",
    "nl_run_state": "1 for what the run is doing, 0 for everything else.",
    "nl_workers": "Workers by state.",
    "nl_shards": "Shards of the unit in hand by state.",
    "nl_attempts_total": "Hand-outs of shards that are over, by outcome.",
    "nl_leases_expired_total": "Leases that ended before a result came.",
    "nl_backups_total": "Shards that were given to a second worker as the first was late.",
    "nl_bytes_total":
      "Bytes of parameters and gradients between coordinator and workers, by direction, kind and tier.",
    "nl_step_seconds": "Time of a step, from handing it out to its commit.",
    "nl_phase_seconds_total":
      "Time spent, by what on: computing, updating, committing, and what is between steps.",
    "nl_ledger_commit_seconds": "Time of a step's transaction in the ledger.",
  ]

  // MARK: - What happens

  func spent(_ seconds: Double, on phase: RunPhase) {
    registry.makeFloatingPointCounter(
      label: "nl_phase_seconds_total", dimensions: own + [("phase", phase.rawValue)]
    ).increment(by: max(0, seconds))
  }

  func committed(ledgerSeconds seconds: Double) {
    commitTime.recordNanoseconds(Int64(seconds * 1e9))
    spent(seconds, on: .commit)
  }

  func applied(_ applied: AppliedStep, seconds: Double, traffic: Traffic) {
    step.set(applied.step)
    steps.increment()
    tokens.increment(by: applied.tokens)
    if let loss = applied.loss { set("nl_loss", loss) }
    set("nl_learning_rate", applied.outcome.learningRate)
    set("nl_gradient_norm", applied.outcome.gradNorm)
    if seconds > 0 { set("nl_tokens_per_second", Double(applied.tokens) / seconds) }
    stepTime.recordNanoseconds(Int64(seconds * 1e9))
    for (tier, bytes) in traffic.tiers.enumerated() { count(bytes, tier: tier) }
  }

  private func count(_ bytes: Traffic.Tier, tier: Int) {
    let kinds = [
      ("down", "parameters", bytes.parametersDown), ("down", "chains", bytes.chainsDown),
      ("up", "boundary", bytes.boundaryUp), ("up", "flush", bytes.flushUp), ("up", "other", bytes.otherUp),
    ]
    for (direction, kind, count) in kinds {
      Counter(
        label: "nl_bytes_total",
        dimensions: own + [("direction", direction), ("kind", kind), ("tier", "\(tier)")],
        factory: registry
      ).increment(by: count)
    }
  }

  func evaluated(_ evaluation: EvaluationOutcome) {
    set("nl_evaluation_loss", evaluation.loss)
    if let accuracy = evaluation.tokenAccuracy { set("nl_evaluation_accuracy", accuracy) }
    for task in evaluation.tasks {
      let metrics = TaskMetrics(task.sums)
      let values = [
        ("nl_task_loss", metrics.loss), ("nl_task_accuracy", metrics.accuracy),
        ("nl_task_f1", metrics.macroF1),
      ]
      for case (let name, let value?) in values {
        Meter(label: name, dimensions: own + [("task", task.name)], factory: registry).set(value)
      }
    }
  }

  /// A value that is not there before it is known: 0 would be wrong.
  private func set(_ name: String, _ value: Double) {
    Meter(label: name, dimensions: own, factory: registry).set(value)
  }

  /// - Parameter lastStep: the last that was committed, by this process or one before it
  func stands(at lastStep: Int) { step.set(lastStep) }

  func ended(_ outcome: AttemptOutcome) {
    Counter(label: "nl_attempts_total", dimensions: own + [("outcome", outcome.rawValue)], factory: registry)
      .increment()
  }

  // MARK: - How things stand

  /// - Parameter state: the run's, as `nl-coord status` has it
  func show(_ status: RunStatus, state: String) {
    show(state: state)
    for state in RunStatus.Worker.State.allCases {
      gauge("nl_workers", "state", state.rawValue, status.workers.count { $0.state == state })
    }
    for state in RunStatus.ShardState.State.allCases {
      gauge("nl_shards", "state", state.rawValue, status.shards.count { $0.state == state })
    }
    expired.increment(by: status.expiredLeases - told.expired)
    backups.increment(by: status.backups - told.backups)
    told = (status.expiredLeases, status.backups)
  }

  private func show(state: String) {
    for name in Self.states { gauge("nl_run_state", "state", name, name == state ? 1 : 0) }
  }

  /// A run that was finished before this process began.
  func showFinished(lastStep: Int) {
    stands(at: lastStep)
    show(state: "completed")
  }

  private static let states = [
    "working", "gathering", "computing", "paused", "waiting", "completed", "failed",
  ]

  private func gauge(_ name: String, _ label: String, _ value: String, _ number: Int) {
    Meter(label: name, dimensions: own + [(label, value)], factory: registry).set(number)
  }
}
