import Coordination
import NestedLearning
import WireProtocol

/// What a run wants done, in this order.
package enum RunEffect: Sendable {
  // What the fleet is told.

  /// All tiers have these parameters, and the windows are these; what workers keep is void.
  case publish([Int: TierVersion], WindowTracker?)
  /// These tiers have new parameters.
  case parametersChanged([Int: TierVersion])
  /// A tier plan begins: windows go by its clock from now on. The engine is told as well, and answers by `adopted`.
  case adopt(TierPlan)
  /// Have this computed; answered by `unitComplete`.
  case open(WorkUnit)
  /// Have brought here what windows lack; answered by `windowsComplete`, or first by units that bring some of it.
  case completeWindows(WindowRequest)
  /// From now on a unit that nobody is there to compute is left: `unitLeft`.
  case hurry
  /// Close the open unit without an outcome.
  case abandon
  /// What the unit came to is durable: its workers may forget it.
  case acknowledge(WorkUnit)
  /// A worker's partial sums are not what its own gradients add up to.
  case distrust(workerID: Int, identity: String, reason: String)
  /// Others may have the run's workers meanwhile, or not any more.
  case rest(Bool)
  /// Nothing more is to be computed; answered by `drained`.
  case drain

  // What the engine is told.

  /// Take what results bring of windows; answered by `kept`.
  case keep([UnitResult])
  /// See what workers say that they have added up.
  case audit(AuditTask)
  /// Apply a step; answered by `applied`.
  case apply(step: Int, StepLosses, [UnitResult], StepCourse)
  /// Pass a step over; answered by `applied`.
  case skip(step: Int, StepCourse)

  // What the store is told.

  /// Take the state of the last snapshot; answered by `restored`. `isCertain`: two workers have to agree on what is
  /// replayed then.
  case restore(isCertain: Bool)
  /// Answered by `written` or `writeFailed`.
  case write(RunWrite)
  /// After a failed sync the operating system's memory and the disk may differ: open the ledger anew; answered by
  /// `reopened`.
  case reopenLedger

  /// For people and metrics.
  case tell(RunNews)
  /// Send `timer` at this time; replaces the time given before. `never`: no timer is needed.
  case armTimer(Instant)
  /// Nothing more will come of this run.
  case end(RunEnding)
}

/// A part of an audit, which the engine carries out one after the other.
package enum AuditTask: Sendable {
  /// Partial sums that have come, before they are taken.
  case begin([WindowAudit])
  /// Gradients that others have computed again.
  case add([UnitResult])
  /// What was sent; answered by `judged`.
  case judge([UnitResult])
}

/// What a run has to say for people and metrics.
package enum RunNews: Sendable {
  case info(String)
  case notice(String)
  case error(String)
  /// A step is committed, now or once more.
  case step(AppliedStep)
  /// A new step is committed.
  case newStep(CommittedStep, ledgerSeconds: Double)
  case evaluation(EvaluationOutcome)
  /// The adapter was tried at a smaller scale; the smallest that holds was written.
  case scale(ScaleTrial)
  case scaled(Double)
  case spent(Double, on: RunPhase)
  /// The last step that is committed.
  case stands(at: Int)
}

/// What a step's time is spent on, and what comes between steps.
package enum RunPhase: String, Sendable, CaseIterable {
  /// Workers compute and send.
  case compute
  /// The coordinator adds up, clips and updates.
  case update
  /// The ledger and the metrics file.
  case commit
  case snapshot
  case checkpoint
  case evaluation
}
