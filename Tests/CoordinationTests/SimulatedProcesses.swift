import Coordination
import NestedLearning
import Protocol

/// What drives the cores: effects become messages and timers, messages become events.
extension Simulation {
  // MARK: - The network

  mutating func send(_ message: Message, from place: Int) {
    let process = workers[place]
    guard !process.cut else { return }
    workers[place].sent += 1
    let peer = PeerID("\(place).\(process.connection)")
    let envelope = Envelope(
      type: message.type, term: process.core.term, session: process.core.session, sequence: process.sent + 1)
    deliver(message, envelope, peer, at: arrival(peer, 1)) { .toCoordinator(peer, $0) }
  }

  mutating func send(_ message: Message, to peer: PeerID, _ session: SessionID) {
    let parts = peer.description.split(separator: ".").compactMap { Int($0) }
    sentTo[peer, default: 0] += 1
    let envelope = Envelope(
      type: message.type, term: core.settings.term, session: session, sequence: sentTo[peer] ?? 0)
    deliver(message, envelope, peer, at: arrival(peer, 2)) { .toWorker(parts[0], connection: parts[1], $0) }
  }

  /// When a message comes: after those that were sent before it over the same connection in the same direction.
  private mutating func arrival(_ peer: PeerID, _ direction: Int) -> Double {
    let way = PeerID("\(peer)/\(direction)")
    let delay = chance(0.05) && now < faultsUntil ? Double.random(in: 0...5, using: &random) : 0.001
    let time = max(now + delay, lastDelivery[way] ?? 0)
    lastDelivery[way] = time
    return time
  }

  private mutating func deliver(
    _ message: Message, _ envelope: Envelope, _ peer: PeerID, at time: Double,
    _ happening: ([[UInt8]]) -> Happening
  ) {
    do {
      let frames = try EncodedMessage(message, envelope: envelope).frames
      agenda.add(happening(frames), at: time)
      if now < faultsUntil, chance(0.03) {
        outcome.faults["duplicate", default: 0] += 1
        agenda.add(happening(frames), at: time + Double.random(in: 0...3, using: &random))
      }
    } catch {
      outcome.problems.append("\(message.type.name) cannot be sent: \(error)")
    }
  }

  // MARK: - The coordinator

  mutating func receive(_ frames: [[UInt8]], from peer: PeerID) {
    do {
      let (envelope, message) = try MessageDecoder.decode(frames: frames)
      let session = envelope.session
      switch message {
      case .hello(let hello): coordinator(.hello(peer: peer, hello))
      case .ready(let ready): coordinator(.ready(peer: peer, session: session, ready))
      case .probeResult(let result):
        coordinator(.probed(peer: peer, session: session, sha256: result.sha256))
      case .accept(let accept):
        coordinator(.accepted(peer: peer, session: session, attempt: accept.attempt))
      case .decline(let decline):
        coordinator(
          .declined(peer: peer, session: session, attempt: decline.attempt, reason: decline.reason))
      case .leaseRenew(let renew):
        send(.pong, to: peer, session)
        coordinator(.renewed(peer: peer, session: session, attempt: renew.attempt, progress: renew.progress))
      case .cancelled(let cancelled):
        coordinator(.cancelled(peer: peer, session: session, attempt: cancelled.attempt))
      case .result(let result):
        arriving = result
        coordinator(.result(peer: peer, session: session, term: envelope.term, ResultSummary(result)))
        arriving = nil
      case .error(let error):
        coordinator(.workerError(peer: peer, session: session, attempt: error.attempt, reason: error.reason))
      case .goodbye, .drained: coordinator(.goodbye(peer: peer, session: session))
      case .ping:
        send(.pong, to: peer, session)
        coordinator(.heard(peer: peer, session: session))
      default: outcome.problems.append("\(message.type.name) came from a worker")
      }
    } catch {
      outcome.problems.append("the coordinator could not read a message: \(error)")
    }
  }

  mutating func coordinator(_ event: CoordinatorEvent) {
    for effect in core.step(event, now: .zero + now) { carryOut(effect) }
  }

  private mutating func carryOut(_ effect: CoordinatorEffect) {
    switch effect {
    case .keepPayload(let attempt):
      if payloads.updateValue(arriving ?? Self.none, forKey: attempt) != nil || arriving?.attempt != attempt {
        outcome.problems.append("attempt \(attempt) is kept twice, or is not the one that came")
      }
    case .discardPayload(let attempt): payloads[attempt] = nil
    case .record(let record):
      if !recorded.insert(record.attempt).inserted {
        outcome.problems.append("\(record) for the second time")
      }
    case .welcome(let peer, let session, let id):
      let layout = Self.tiers.enumerated().map { [TierParameter(name: "tier\($0)", shape: [$1])] }
      send(
        .welcome(
          Welcome(
            workerID: id, modelPath: "/m", modelSHA256: Self.model, trainable: "full", tiers: layout,
            heartbeatSeconds: core.settings.heartbeatSeconds)), to: peer, session)
    case .reject(let peer, let code, let reason):
      send(.reject(Reject(code: code, reason: reason)), to: peer, .none)
    case .sendParameters(let peer, let session, let tier, let version):
      let values = [Float](repeating: Float(version), count: Self.tiers[tier])
      send(
        .parameters(
          ParametersMessage(
            tier: tier, version: version, digest: Self.model, values: WireObject(name: "tier", floats: values)
          )),
        to: peer, session)
    case .sendWindow: break
    case .assign(let peer, let session, let assignment):
      send(.assign(message(of: assignment)), to: peer, session)
    case .acknowledge(let peer, let session, let attempt, let outcome):
      send(.resultAck(ResultAck(attempt: attempt, outcome: outcome)), to: peer, session)
    case .probe(let peer, let session): send(.probe(Probe(seed: 0)), to: peer, session)
    case .cancel(let peer, let session, let attempt):
      send(.cancel(Cancel(attempt: attempt)), to: peer, session)
    case .quarantine(let id, _, let reason): outcome.problems.append("worker \(id) is quarantined: \(reason)")
    case .sendDrain(let peer, let session): send(.drain, to: peer, session)
    case .workerReady, .workerLeft, .log: break
    case .unitComplete(let done): complete(done)
    case .drained: outcome.finished = true
    case .fail(let reason): outcome.problems.append("failed: \(reason)")
    case .armTimer(let instant):
      timer += 1
      if instant != .never {
        agenda.add(.coordinatorTimer(generation: timer), at: instant.seconds(since: .zero))
      }
    }
  }

  static let none = ResultMessage(attempt: 0, lossSum: 0, tokens: 0, seconds: 0, gradients: [])

  private mutating func message(of assignment: Assignment) -> AssignMessage {
    if !handedOut.insert(assignment.attempt).inserted {
      outcome.problems.append("an attempt has an old number")
    }
    outcome.handOuts += 1
    let unit = assignment.unit
    let node = assignment.shard.node
    return AssignMessage(
      attempt: assignment.attempt, purpose: unit.purpose, step: unit.step, leafCount: unit.leafCount,
      level: node.level, index: node.index, tiers: assignment.shard.tiers, window: unit.window,
      stepTokens: unit.leafCount, parameterVersions: assignment.versions,
      microBatches: node.leaves(count: unit.leafCount).map {
        AssignedMicroBatch(number: $0, tokens: [1, 2], offsets: [0, 2], labels: [2, -100])
      })
  }

  /// Holds a finished unit to what it must be: every (micro-batch, tier) once, the loss of the whole tree, and the
  /// gradients of the right nodes.
  private mutating func complete(_ done: CompletedUnit) {
    let unit = done.unit
    if outcome.steps.updateValue(done, forKey: unit.step) != nil {
      outcome.problems.append("\(unit) came twice")
    }
    var covered: [[Int]] = []
    for result in done.results {
      let message = payloads.removeValue(forKey: result.attempt)
      let expected = Self.gradients(
        of: result.shard.node, tiers: result.shard.tiers, step: unit.step, count: unit.leafCount, unit.window)
      if message?.gradients != expected {
        outcome.problems.append("\(unit): the gradients of \(result) are wrong")
      }
      for leaf in result.shard.node.leaves(count: unit.leafCount) {
        covered += (result.shard.tiers.isEmpty ? [-1] : result.shard.tiers).map { [leaf, $0] }
      }
    }
    let all = (0..<unit.leafCount).flatMap { leaf in
      (unit.dueTiers.isEmpty ? [-1] : unit.dueTiers).map { [leaf, $0] }
    }
    if covered.sorted(by: { $0.lexicographicallyPrecedes($1) }) != all {
      outcome.problems.append("\(unit) covers \(covered)")
    }
    let loss = try? ReductionTree.reduce((0..<unit.leafCount).map { Self.loss(step: unit.step, leaf: $0) }) {
      $0 += $1
    }
    if loss?.bitPattern != done.lossSum.bitPattern || done.tokens != unit.leafCount {
      outcome.problems.append("\(unit): loss \(done.lossSum), not \(loss ?? .nan)")
    }
    next(after: unit)
  }

  private mutating func next(after unit: WorkUnit) {
    coordinator(.committed(unit))
    guard unit.step < lastStep else { return coordinator(.drain) }
    if unit.purpose == .train {
      for tier in unit.dueTiers { versions[tier] += 1 }
      let due = Set(unit.dueTiers)
      coordinator(.parametersChanged(parameters.filter { due.contains($0.key) }))
    }
    coordinator(.open(self.unit(unit.step + 1)))
  }

  // MARK: - The workers

  static func gradients(of node: TreeNode, tiers: [Int], step: Int, count: Int, _ window: Bool)
    -> [TierGradient]
  {
    let leaves = node.leaves(count: count)
    return tiers.flatMap { tier -> [TierGradient] in
      if window {
        return leaves.map {
          TierGradient(tier: tier, microBatch: $0, floats: gradient(step: step, tier: tier, leaf: $0))
        }
      }
      let sum = try? ReductionTree.reduce(
        node, count: count, leaf: { gradient(step: step, tier: tier, leaf: $0) },
        add: { (left: inout [Float], right: [Float]) in left = zip(left, right).map { $0 + $1 } })
      return [TierGradient(tier: tier, floats: sum ?? [])]
    }
  }

  mutating func start(_ place: Int) {
    guard !workers[place].alive, !outcome.finished else { return }
    workers[place].core = Simulation.worker(place)
    workers[place].alive = true
    workers[place].life += 1
    workers[place].versions = [:]
    worker(place, .start)
  }

  mutating func worker(_ place: Int, _ event: WorkerEvent) {
    guard workers[place].alive else { return }
    for effect in workers[place].core.step(event, now: .zero + now) { carryOut(effect, place) }
  }

  private mutating func carryOut(_ effect: WorkerEffect, _ place: Int) {
    let life = workers[place].life
    switch effect {
    case .connect:
      workers[place].connection += 1
      workers[place].sent = 0
      workers[place].cut = false
    case .abandon: workers[place].versions = [:]
    case .send(let message): send(message, from: place)
    case .loadModel:
      let time = now + Double.random(in: 0...3, using: &random)
      agenda.add(.worker(place, life: life, .modelLoaded(sha256: Self.model)), at: time)
    case .takeWindow: break
    case .apply(let parameters): workers[place].versions[parameters.tier] = parameters.version
    case .compute(let job, let assign): compute(job, assign, place)
    case .probe:
      agenda.add(.worker(place, life: life, .probed(sha256: Self.model)), at: now + 0.01)
    case .stop(let job):
      agenda.add(
        .worker(place, life: life, .stopped(job: job)), at: now + Double.random(in: 0...0.1, using: &random))
    case .renew(_, let attempt):
      let steps = 1 + Int((now - workers[place].begun) / 0.05)
      send(.leaseRenew(LeaseRenew(attempt: attempt, progress: steps)), from: place)
    case .log: break
    case .exit(let successful, let reason):
      workers[place].alive = false
      workers[place].life += 1
      if successful || outcome.finished { break }
      // Only a run that is long over, or a network that was cut for long, ends a worker badly; it is started again.
      if !reason.contains("no coordinator answered") { outcome.problems.append("worker \(place): \(reason)") }
      agenda.add(.start(place), at: now + 5)
    case .armTimer(let instant):
      workers[place].timer += 1
      agenda.add(
        .workerTimer(place, life: life, generation: workers[place].timer), at: instant.seconds(since: .zero))
    }
  }

  private mutating func compute(_ job: Int, _ assign: AssignMessage, _ place: Int) {
    let own = assign.parameterVersions.indices.map { workers[place].versions[$0] ?? -1 }
    if own != assign.parameterVersions {
      outcome.problems.append("computed with \(own), not \(assign.parameterVersions)")
    }
    workers[place].begun = now
    let node = TreeNode(level: assign.level, index: assign.index)
    let leaves = node.leaves(count: assign.leafCount)
    let loss = try? ReductionTree.reduce(
      node, count: assign.leafCount, leaf: { Self.loss(step: assign.step, leaf: $0) }, add: { $0 += $1 })
    let result = ResultMessage(
      attempt: assign.attempt, lossSum: loss ?? .nan, tokens: leaves.count, seconds: 1,
      gradients: Self.gradients(
        of: node, tiers: assign.tiers, step: assign.step, count: assign.leafCount, assign.window))
    var seconds = Double.random(in: 0.1...1, using: &random) * Double(leaves.count)
    if now < faultsUntil, chance(0.05) {
      outcome.faults["slow", default: 0] += 1
      seconds *= 30
    }
    if now < faultsUntil, chance(0.03) {
      outcome.faults["error", default: 0] += 1
      return agenda.add(
        .worker(place, life: workers[place].life, .computeFailed(job: job, reason: "x")), at: now + seconds)
    }
    agenda.add(.worker(place, life: workers[place].life, .computed(job: job, result)), at: now + seconds)
  }

  // MARK: - Faults

  /// One fault at a time, at random times and places, until faults end.
  mutating func fault() {
    guard now < faultsUntil else { return }
    let place = Int.random(in: workers.indices, using: &random)
    let kinds = ["kill", "cut", "freeze", "stall", "terminate", "noticed"]
    let kind = kinds.randomElement(using: &random) ?? "kill"
    outcome.faults[kind, default: 0] += 1
    switch kind {
    case "kill", "noticed":
      let peer = PeerID("\(place).\(workers[place].connection)")
      workers[place].alive = false
      workers[place].life += 1
      if kind == "noticed" { coordinator(.peerLost(peer: peer, reason: "its process ended")) }
      agenda.add(.start(place), at: now + Double.random(in: 0...20, using: &random))
    case "cut": workers[place].cut = true
    case "freeze": workers[place].frozenUntil = now + Double.random(in: 0...30, using: &random)
    case "stall": stalledUntil = now + Double.random(in: 0...10, using: &random)
    default:
      worker(place, .terminate)
      agenda.add(.start(place), at: now + 40)
    }
    agenda.add(.fault, at: now + Double.random(in: 0...10, using: &random))
  }
}
