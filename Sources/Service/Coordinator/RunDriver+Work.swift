import Coordination
import Foundation
import NestedLearning
import Training
import WireProtocol

/// What the scheduler of the run wants done.
extension RunDriver {
  func carryOut(_ effect: SchedulerEffect, _ incoming: ResultMessage?) throws {
    switch effect {
    case .keepPayload(let attempt, let shard, let unit, let makesRoom):
      guard let incoming else { break }
      kept.keep(incoming, attempt: attempt, of: unit)
      guard unit.isSummedAsItComes else { break }
      let parcel = Parcel(incoming)
      compute { [mailbox = service.mailbox, number] engine in
        if let message = parcel.take() { try engine.collect(message, of: shard, in: unit) }
        if makesRoom { mailbox.post(.added(number, attempt: attempt)) }
        return nil
      }
    case .discardPayload(let attempt):
      kept.discard(attempt)
      compute {
        try $0.discard(attempt)
        return nil
      }
    case .credit(let peer, _, let attempt): service.decide(peer, attempt, of: work, .take)
    case .refuse(let peer, _, let attempt, let outcome):
      service.decide(peer, attempt, of: work, .refuse(outcome))
    case .record(let record):
      count(record)
      try tell(.attemptEnded(record))
    case .enterRun(let peer, let session, let workerID): try enter(peer, session, workerID)
    case .sendParameters(let peer, let session, let tier, let version):
      try sendParameters(peer, session, tier: tier, version: version)
    case .sendWindow(let peer, let session, let keys, let through):
      try sendWindow(peer, session, keys, through: through)
    case .assign(let peer, let session, let assignment):
      progressLine.begin(now: MonotonicClock.now().seconds(since: .zero))
      send(.assign(run.message(of: assignment)), to: peer, session: session)
    case .probe(let peer, let session):
      send(.probe(Probe(seed: plan.config.seed)), to: peer, session: session)
    case .cancel(let peer, let session, let attempt):
      send(.cancel(Cancel(attempt: attempt)), to: peer, session: session)
    case .quarantine(let workerID, let identity, let reason):
      // Another process on this machine would compute alike.
      if let index = members[workerID]?.localIndex { service.localWorkers.retire(index) }
      try tell(.quarantined(workerID: workerID, identity: identity, reason: reason))
    case .workerReady(let workerID): note("\(describe(workerID)) is ready", of: workerID)
    case .workerLeft(let workerID, let peer, let reason, _):
      memory.left(peer)
      note("\(describe(workerID)) left: \(reason)", of: workerID)
      members[workerID] = nil
      try tell(.worker(.left(workerID: workerID, reason: reason, at: MonotonicClock.now())))
    case .log(let line): logger.info("\(line)")
    case .unitComplete(let unit): try tell(.unitComplete(unit, kept.take(for: unit).results))
    case .unitLeft(let unit): try tell(.unitLeft(unit))
    case .windowsComplete(let oldestStep): try tell(.windowsComplete(oldestStep: oldestStep))
    case .windowsLost: try tell(.windowsLost)
    case .drained:
      isDrained = true
      try tell(.drained)
    case .fail(let reason): try tell(.unitFailed(reason: reason))
    case .reject, .acknowledge: break
    }
  }

  private func tell(_ event: RunEvent) throws { try service.tell(number, event) }

  private func enter(_ peer: PeerID, _ session: SessionID, _ workerID: Int) throws {
    guard let hello = service.fleet.hello(of: peer) else { return }
    members[workerID] = hello
    let key = service.router.key(of: peer)
    try tell(.worker(.joined(workerID: workerID, hello, key: key, at: MonotonicClock.now())))
    let message = EnterRun(
      workerID: workerID, run: settings.run, plan: run.plan.number, modelPath: plan.modelPath,
      modelSHA256: plan.modelSHA256, trainable: plan.trainableJSON, tiers: plan.layout.tiers,
      // A worker that has but one is not asked to choose.
      numericProfile: hello.numericProfiles.count > 1 ? settings.numericProfile : nil,
      recomputesLayers: plan.config.activationCheckpointing == .layer, objective: plan.objective?.json)
    send(.enterRun(message), to: peer, session: session)
  }

  /// Workers of other machines come and go by others' hands, so that is said; local ones are this program's own affair.
  private func note(_ text: String, of workerID: Int) {
    let isLocal = members[workerID]?.localIndex != nil
    logger.log(level: isLocal ? .info : .notice, "\(text)")
  }

  private func sendParameters(_ peer: PeerID, _ session: SessionID, tier: Int, version: Int) throws {
    guard let message = run.parameters(tier: tier, version: version) else { return }
    send(.parameters(message), to: peer, session: session)
    try tell(.sent(SentBytes(.parameters, tier: tier, count: message.values.byteCount)))
  }

  /// Partial sums that a worker goes on from. The engine is at rest while a unit is open.
  private func sendWindow(_ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], through step: Int) throws
  {
    guard let message = engine?.windowMessage(keys, through: step) else { return }
    send(.window(message), to: peer, session: session)
    for chain in message.chains {
      try tell(.sent(SentBytes(.partialSums, tier: chain.tier, count: chain.values.byteCount)))
    }
  }
}
