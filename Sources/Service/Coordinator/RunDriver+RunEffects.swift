import Coordination
import Foundation
import Ledger
import Training
import WireProtocol

/// What the run wants done.
extension RunDriver {
  /// Tells the run of an event, and does what it says, in its order.
  func take(_ event: RunEvent) throws {
    try carryOut(run.step(event, now: MonotonicClock.now()))
  }

  func carryOut(_ effects: [RunEffect]) throws {
    for effect in effects { try carryOut(effect) }
  }

  private func carryOut(_ effect: RunEffect) throws {
    switch effect {
    case .publish(let versions, let windows):
      try request(.parametersChanged(versions))
      try request(.windows(windows))
    case .parametersChanged(let versions): try request(.parametersChanged(versions))
    case .adopt(let plan):
      try request(.clock(plan.clock))
      compute {
        $0.adopt(plan)
        return .adopted
      }
    case .open(let unit):
      service.telemetry.context.set("step", .number(unit.step))
      try request(.open(unit))
    case .completeWindows(let request): try self.request(.completeWindows(request))
    case .hurry: try request(.hurry)
    case .abandon: try request(.abandon)
    case .acknowledge(let unit): try request(.committed(unit))
    case .distrust(let workerID, let identity, let reason):
      try request(.distrust(workerID: workerID, identity: identity, reason: reason))
    case .rest(let rests): try service.rest(number, rests)
    case .drain: try request(.close)
    case .keep(let results):
      compute {
        try $0.keep(results)
        return .kept
      }
    case .audit(let task): compute { try $0.audit(task).map { .judged($0) } }
    case .apply(let step, let losses, let results, let course):
      compute { .applied(try $0.apply(step: step, losses: losses, results: results, course)) }
    case .skip(let step, let course): compute { .applied(try $0.skip(step: step, course)) }
    case .restore: restore()
    case .write(let write): self.write(write)
    case .reopenLedger: reopenLedger()
    case .tell(let news): tell(news)
    case .armTimer(let time): runTimer = time
    case .end(let ending): try finish(ending)
    }
  }

  private func request(_ request: RunRequest) throws { try service.handle(.requested(number, request)) }

  // MARK: - Beside the socket's thread

  /// Has the engine do something; its answer, if there is one, comes as an event.
  func compute(_ work: @escaping @Sendable (StepEngine) throws -> RunEvent?) {
    guard let engine else { return }
    queue.async { [mailbox = service.mailbox, number] in
      do {
        if let event = try work(engine) { mailbox.post(.run(number, event)) }
      } catch {
        mailbox.post(.run(number, .engineFailed(error)))
      }
    }
  }

  private func restore() {
    queue.async { [mailbox = service.mailbox, number, store, plan, failpoints = service.options.failpoints] in
      do {
        let (engine, run) = try store.restoredRun(plan: plan)
        engine.tamper = failpoints.tamper(withSum:)
        engine.notesWindowNorms = plan.notesWindowNorms
        mailbox.post(.restored(number, engine, run))
      } catch {
        mailbox.post(.run(number, .restoreFailed(error)))
      }
    }
  }

  private func write(_ write: RunWrite) {
    queue.async {
      [mailbox = service.mailbox, number, store, plan, engine, failpoints = service.options.failpoints] in
      failpoints.die(at: .exitPersist)
      do {
        let outcome = try store.perform(write, plan: plan, engine: engine)
        mailbox.post(.run(number, .written(write.id, outcome)))
      } catch {
        mailbox.post(.run(number, .writeFailed(write.id, WriteFailure(error))))
      }
    }
  }

  private func reopenLedger() {
    queue.async { [mailbox = service.mailbox, number, store] in
      do {
        try store.ledger.reopen()
        mailbox.post(.run(number, .reopened))
      } catch {
        mailbox.post(.run(number, .reopenFailed(WriteFailure(error))))
      }
    }
  }

  // MARK: - News

  private func tell(_ news: RunNews) {
    switch news {
    case .info(let text): logger.info("\(text)")
    case .notice(let text): logger.notice("\(text)")
    case .error(let text): logger.error("\(text)")
    case .step(let applied): tellOfStep(applied)
    case .newStep(let step, let ledgerSeconds):
      metrics.committed(ledgerSeconds: ledgerSeconds)
      metrics.applied(step.applied, seconds: step.seconds, traffic: step.traffic)
    case .evaluation(let evaluation): tellOfEvaluation(evaluation)
    case .scale(let trial):
      tell(
        progressLine.message(
          String(
            format: "Adapter at scale %.2f | Loss: %.4f | %@", trial.scale, trial.loss,
            trial.holds ? "holds" : "more than scale_tolerance above")), "adapter at another scale",
        [
          "scale": .stringConvertible(trial.scale), "loss": .stringConvertible(trial.loss),
          "holds": "\(trial.holds)",
        ])
    case .scaled(let scale):
      logger.notice("the adapter at scale \(scale) is in \(store.folder.path)/checkpoints/scaled")
    case .spent(let seconds, let phase): metrics.spent(seconds, on: phase)
    case .stands(let step): metrics.stands(at: step)
    }
  }

  private func tellOfStep(_ applied: AppliedStep) {
    let line = progressLine.step(
      applied.step, loss: applied.loss, activeTiers: applied.outcome.shownTiers,
      now: MonotonicClock.now().seconds(since: .zero))
    tell(
      line, "step \(applied.step) of \(plan.config.numSteps)",
      [
        "step": "\(applied.step)", "loss": applied.loss.map { .stringConvertible($0) } ?? "none",
        "tokens": "\(applied.tokens)",
        "active_tiers": .array(applied.outcome.shownTiers.map { "\($0)" }),
      ])
  }

  private func tellOfEvaluation(_ evaluation: EvaluationOutcome) {
    metrics.evaluated(evaluation)
    var text = String(format: "Evaluation after step %d | Loss: %.4f", evaluation.step, evaluation.loss)
    if !evaluation.tasks.isEmpty {
      for task in evaluation.tasks { text += " | \(task.name): \(TaskMetrics(task.sums).text)" }
    } else if plan.modelFolder != nil {
      // Of a model that is no language model the loss is no cross entropy.
      text += String(format: " | Perplexity: %.2f", Evaluation.perplexity(evaluation.loss))
    }
    if let accuracy = evaluation.tokenAccuracy { text += String(format: " | Accuracy: %.3f", accuracy) }
    tell(
      progressLine.message(text + (evaluation.isBest ? " | best so far" : "")),
      "evaluation after step \(evaluation.step)",
      [
        "step": "\(evaluation.step)", "loss": .stringConvertible(evaluation.loss),
        "best": "\(evaluation.isBest)",
      ])
  }
}

extension WriteFailure {
  package init(_ error: any Error) {
    self =
      switch error {
      case let error as ReplayedStepDiffers:
        .differs(step: error.step, recorded: error.recorded)
      default: DiskFault(error).map { .mayPass($0.cause, $0.description) } ?? .other(error)
      }
  }
}
