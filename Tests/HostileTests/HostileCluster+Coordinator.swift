import Harness
import NestedLearning
import Transport
import WireProtocol

@testable import Coordination
@testable import Service

/// What the coordinator is to do, as `FleetService` does it.
extension HostileCluster {
  mutating func handle(_ event: SceneEvent) {
    var completed: CompletedUnit?
    for effect in core.step(event, now: now) {
      switch effect {
      case .work(_, let effect): if let unit = carryOut(effect) { completed = unit }
      case .welcome(let peer, let session, let id, _):
        send(.welcome(Welcome(workerID: id, heartbeatSeconds: 1)), connection(peer), session)
      case .reject(let peer, let code, let reason): reject(peer, code, reason)
      case .leaveRun(let peer, let session, _): send(.leaveRun, connection(peer), session)
      case .sendDrain(let peer, let session): send(.drain, connection(peer), session)
      case .memberLeft(_, let peer, _, _): ends[connection(peer)] = nil
      case .log: break
      case .closed: ending = "closed"
      case .armTimer(let time):
        timer += 1
        add(.coordinatorTimer(timer), at: time)
      }
    }
    guard let completed, ending == nil else { return }
    if let unit = run.take(completed, book: core.windows) { return open(unit) }
    if completed.unit.hasLoss || run.pending != nil { apply(completed) }
    goOn()
  }

  /// - Returns: a unit that is complete
  private mutating func carryOut(_ effect: SchedulerEffect) -> CompletedUnit? {
    switch effect {
    case .keepPayload(let attempt, _, _, _): run.payloads[attempt] = run.incoming
    case .discardPayload(let attempt): run.payloads[attempt] = nil
    case .credit(let peer, _, let attempt): decide(peer, attempt, .take)
    case .refuse(let peer, _, let attempt, let outcome): decide(peer, attempt, .refuse(outcome))
    case .enterRun(let peer, let session, let id): enter(peer, session, id)
    case .reject(let peer, let code, let reason): reject(peer, code, reason)
    case .probe(let peer, let session): send(.probe(Probe(seed: 1)), connection(peer), session)
    case .sendParameters(let peer, let session, let tier, let version):
      let values = WireObject(
        name: "tier", floats: [Float](repeating: Float(version), count: HostileRun.counts[tier]))
      let message = ParametersMessage(tier: tier, version: version, digest: Self.model, values: values)
      send(.parameters(message), connection(peer), session)
    case .sendWindow(let peer, let session, let keys, let through): sendWindow(peer, session, keys, through)
    case .assign(let peer, let session, let assignment):
      send(.assign(message(assignment)), connection(peer), session)
    case .cancel(let peer, let session, let attempt):
      send(.cancel(Cancel(attempt: attempt)), connection(peer), session)
    case .acknowledge(let peer, let session, let attempt, let outcome):
      send(.resultAck(ResultAck(attempt: attempt, outcome: outcome)), connection(peer), session)
    case .unitComplete(let unit): return unit
    case .fail(let reason): ending = reason
    case .record, .quarantine, .workerReady, .workerLeft, .log, .unitLeft, .windowsComplete, .windowsLost,
      .drained:
      break
    }
    return nil
  }

  private mutating func reject(_ peer: PeerID, _ code: RejectCode, _ reason: String) {
    send(.reject(Reject(code: code, reason: String(reason.prefix(500)))), connection(peer), .none)
    ends[connection(peer)] = nil
  }

  private mutating func decide(_ peer: PeerID, _ attempt: Int, _ verdict: OfferVerdict) {
    let number = connection(peer)
    guard var end = ends[number] else { return }
    var packets: [[[UInt8]]] = []
    let work = RunTerm(OneRun.number, term: core.settings.term)
    try? end.decide(attempt: attempt, of: work, verdict, now: seconds) {
      packets.append($0)
      return true
    }
    ends[number] = end
    put(packets, toCoordinator: false, number)
  }

  func connection(_ peer: PeerID) -> Int { Int(peer.description.dropFirst()) ?? 0 }

  mutating func apply(_ completed: CompletedUnit) {
    let unit = run.pending?.unit ?? completed.unit
    let changed = run.pending == nil ? [:] : run.apply()
    handle(.committed(unit))
    if !changed.isEmpty { handle(.parametersChanged(changed)) }
    // One that comes again has lost what it kept, so that it has to be computed again.
    if run.step == 2, random.next(below: 2) == 0 {
      let place = random.next(below: workers.count)
      let event = WorkerEvent.connectionFailed(reason: "cut")
      add(.workerEvent(place: place, session: workers[place].core.session, event), after: 0.5)
    }
  }

  mutating func goOn() {
    guard let unit = run.next() else { return handle(.drain) }
    open(unit)
  }

  mutating func open(_ unit: WorkUnit) {
    run.unit = unit
    handle(.open(unit))
  }

  mutating func enter(_ peer: PeerID, _ session: SessionID, _ id: Int) {
    let tiers = HostileRun.counts.enumerated().map { [TierParameter(name: "p\($0)", shape: [$1])] }
    let message = EnterRun(
      workerID: id, run: "run", modelPath: "/m", modelSHA256: Self.model, trainable: "full", tiers: tiers)
    send(.enterRun(message), connection(peer), session)
  }

  mutating func sendWindow(_ peer: PeerID, _ session: SessionID, _ keys: [WindowKey], _ through: Int) {
    var message = WindowMessage(step: through, firsts: [], chains: [])
    for key in keys {
      guard let values = run.sums.chain(of: key, through: through) else {
        run.problems.append("chain \(key.tier).\(key.microBatch) is not here through step \(through)")
        continue
      }
      message.firsts.append(HostileRun.clock.start(tier: key.tier, step: through))
      message.chains.append(WindowChain(tier: key.tier, microBatch: key.microBatch, floats: values))
    }
    if !message.chains.isEmpty { send(.window(message), connection(peer), session) }
  }

  func message(_ assignment: Assignment) -> AssignMessage {
    let (unit, node) = (assignment.unit, assignment.shard.node)
    return AssignMessage(
      attempt: assignment.attempt, purpose: unit.purpose, step: unit.step, leafCount: unit.leafCount,
      level: node.level, index: node.index, tiers: assignment.shard.tiers, window: unit.window,
      digestOnly: assignment.digestOnly, stepTokens: 4, windows: assignment.windows,
      parameterVersions: assignment.versions,
      microBatches: unit.purpose == .collect
        ? []
        : node.leaves(count: unit.leafCount).map {
          AssignedMicroBatch(number: $0, tokens: [1, 2, 3], offsets: [0, 3], labels: [1, -100, 2])
        })
  }
}
