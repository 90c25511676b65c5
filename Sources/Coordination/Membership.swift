import WireProtocol

/// A worker as the coordinator knows it.
struct Worker: Sendable {
  enum State: Sendable, Equatable {
    case loading
    /// Its arithmetic is compared with the coordinator's.
    case probing
    case ready
    case busy(attempt: Int)
    case leaving
  }

  let id: Int
  let peer: PeerID
  let session: SessionID
  let hello: Hello
  let owner: Owner
  /// Whether its process had not been in a session of this term before.
  let isNewProcess: Bool
  var state: State
  var since: Instant
  var lastHeard: Instant
  /// Until when it has to be loaded, or to have answered the probe.
  var admissionDeadline: Instant
  /// What is there of the base model, if it is being fetched.
  var fetch: ModelFetchState?
  /// How often it has said that there is less of it than before, and the most that it has said.
  var fetchSetbacks = 0
  var mostFetched = -1
  /// What it has of each tier.
  var tiers: [Int: TierVersion] = [:]
  var shardsDone = 0
  /// The time that it takes over the usual one.
  var pace = 1.0

  var identity: String { owner.identity }

  /// Whether it computes or could.
  var isUsable: Bool {
    switch state {
    case .ready, .busy: true
    case .loading, .probing, .leaving: false
    }
  }

  /// Tells processes apart, also those behind one key.
  var process: String { Self.process(of: hello, identity) }

  static func process(of hello: Hello, _ identity: String) -> String {
    "\(identity) \(hello.host)/\(hello.processID)"
  }

  /// Whether it says what it is doing, and can be told to stop.
  var reports: Bool { hello.minor >= 1 }
}

/// Joining and leaving.
extension CoordinatorCore {
  /// The worker of a message that bears its session; its sign of life. A peer without a session is told so, and may
  /// join on a new connection.
  mutating func known(_ peer: PeerID, _ session: SessionID, now: Instant) -> Int? {
    guard let id = workerOfPeer[peer] else {
      if isEnding {
        send(.reject(peer: peer, code: .draining, reason: "the run is over"))
      } else {
        send(.reject(peer: peer, code: .unknownSession, reason: "this connection has no session; join again"))
      }
      return nil
    }
    guard workers[id]?.session == session else { return nil }
    workers[id]?.lastHeard = now
    return id
  }

  /// Whether a worker has this session on this connection.
  public func isMember(_ peer: PeerID, session: SessionID) -> Bool {
    workerOfPeer[peer].flatMap { workers[$0] }?.session == session
  }

  /// Whether a connection is a worker's.
  public func isWorker(_ peer: PeerID) -> Bool { workerOfPeer[peer] != nil }

  /// The session that a worker has on a connection; nil if it is nobody's.
  public func session(of peer: PeerID) -> SessionID? { workerOfPeer[peer].flatMap { workers[$0]?.session } }

  var isEnding: Bool {
    if failure != nil { return true }
    if case .running = phase { return false }
    return true
  }

  mutating func join(_ peer: PeerID, _ hello: Hello, key: String?, term: UInt64, now: Instant) {
    if let id = workerOfPeer[peer] {
      // HELLO came twice: the answer may have been lost, but there is still one session.
      guard let worker = workers[id], worker.state == .loading else { return }
      workers[id]?.lastHeard = now
      return send(.welcome(peer: peer, session: worker.session, workerID: id))
    }
    let identity = key ?? "\(hello.host)/\(hello.processID)"
    let owner = Owner(identity: identity, host: key == nil ? hello.host : nil)
    if let (code, reason) = objection(to: hello, owner) {
      log("A worker on \(hello.host) was turned away: \(reason)")
      return send(.reject(peer: peer, code: code, reason: reason))
    }
    // Before its old session is taken for one that ended with its process.
    if term == settings.term { cameBack(Worker.process(of: hello, identity), identity) }
    replaceLocal(hello.localIndex, now: now)
    let id = nextWorkerID
    nextWorkerID += 1
    let session = SessionID(
      high: mix(settings.sessionSeed ^ settings.term),
      low: mix(settings.sessionSeed &+ UInt64(bitPattern: Int64(id))))
    workers[id] = Worker(
      id: id, peer: peer, session: session, hello: hello, owner: owner,
      isNewProcess: term != settings.term, state: .loading, since: now, lastHeard: now,
      admissionDeadline: now + settings.loadSeconds)
    workerOfPeer[peer] = id
    send(.welcome(peer: peer, session: session, workerID: id))
  }

  /// Why a worker cannot take part.
  private func objection(to hello: Hello, _ owner: Owner) -> (RejectCode, String)? {
    if isEnding { return (.draining, "the run is over") }
    if quarantined.contains(owner.identity) {
      return (.quarantined, "a worker of \(owner.identity) has come to a wrong result before in this run")
    }
    guard let minor = UInt8(exactly: hello.minor), ProtocolVersion.accepts(minor: minor) else {
      return (.version, "it speaks minor version \(hello.minor); install the same release on both sides")
    }
    if !hello.numericProfiles.contains(settings.numericProfile) {
      let own = hello.numericProfiles.map { "\"\($0)\"" }.joined(separator: " or ")
      return (
        .numericProfile,
        "its numeric profile is \(own) and the run's is \"\(settings.numericProfile)\"; "
          + "its gradients would have other bits"
      )
    }
    if let model = hello.modelSHA256, model != settings.modelSHA256 {
      return (.model, "its model folder has SHA-256 \(model), the run's has \(settings.modelSHA256)")
    }
    if workers.count >= settings.maximumWorkers {
      return (.full, "the run already has \(settings.maximumWorkers) workers")
    }
    if owner.host == nil,
      workers.values.count(where: { $0.owner == owner }) >= settings.maximumWorkersOfKey
    {
      return (
        .full, "the run already has \(settings.maximumWorkersOfKey) workers of the key \(owner.identity)"
      )
    }
    return nil
  }

  /// A local process that was started again takes the place of the one that died.
  private mutating func replaceLocal(_ index: Int?, now: Instant) {
    guard let index else { return }
    for id in workers.keys.sorted() where workers[id]?.hello.localIndex == index {
      // The process of this number is the new one now, and must not be taken for the one that left.
      remove(id, reason: "another process took its place", outcome: .lost, ownsProcess: false, now: now)
    }
  }

  /// A worker that fetches the model has its time for loading anew whenever there are more bytes, or other ones.
  mutating func fetched(_ peer: PeerID, _ session: SessionID, _ fetch: ModelFetchState, now: Instant) {
    guard let id = known(peer, session, now: now), let worker = workers[id], worker.state == .loading,
      worker.fetch != fetch, fetch.receivedBytes <= fetch.totalBytes ?? .max
    else { return }
    if let last = worker.fetch?.receivedBytes, fetch.receivedBytes < last { workers[id]?.fetchSetbacks += 1 }
    let isMore = fetch.receivedBytes > worker.mostFetched
    workers[id]?.mostFetched = max(worker.mostFetched, fetch.receivedBytes)
    // Where there has been less again and again, only what there never was counts.
    if isMore
      || worker.fetchSetbacks < ModelFetchState.maximumSetbacks
        && worker.fetch?.receivedBytes != fetch.receivedBytes
    {
      workers[id]?.admissionDeadline = now + settings.loadSeconds
    }
    workers[id]?.fetch = fetch
  }

  mutating func becomeReady(_ peer: PeerID, _ session: SessionID, _ ready: Ready, now: Instant) {
    guard let id = known(peer, session, now: now), workers[id]?.state == .loading else { return }
    guard ready.modelSHA256 == settings.modelSHA256 else {
      let reason = "its model folder has SHA-256 \(ready.modelSHA256), the run's has \(settings.modelSHA256)"
      send(.reject(peer: peer, code: .model, reason: reason))
      return remove(id, reason: reason, outcome: .lost, now: now)
    }
    guard settings.probeSHA256 != nil, workers[id]?.reports == true else { return admit(id, now: now) }
    setState(of: id, .probing, now: now)
    workers[id]?.admissionDeadline = now + settings.probeSeconds
    send(.probe(peer: peer, session: session))
  }

  /// A machine that computes other bits is found before it computes anything that counts.
  mutating func judgeProbe(_ peer: PeerID, _ session: SessionID, _ sha256: String, now: Instant) {
    guard let id = known(peer, session, now: now), workers[id]?.state == .probing else { return }
    guard sha256 == settings.probeSHA256 else {
      let reason =
        "its arithmetic gives other bits than the coordinator's: a probe came to \(sha256), not to "
        + "\(settings.probeSHA256 ?? ""); its machine or its build of the program is at fault"
      send(.reject(peer: peer, code: .numericProfile, reason: reason))
      return remove(id, reason: reason, outcome: .lost, now: now)
    }
    admit(id, now: now)
  }

  private mutating func admit(_ id: Int, now: Instant) {
    setState(of: id, .ready, now: now)
    if firstReady == nil { firstReady = now }
    send(.workerReady(workerID: id))
  }

  mutating func setState(of id: Int, _ state: Worker.State, now: Instant) {
    workers[id]?.state = state
    workers[id]?.since = now
  }

  /// Takes a worker off the list; what it was computing goes to others.
  mutating func remove(
    _ id: Int, reason: String, outcome: AttemptOutcome, ownsProcess: Bool = true, now: Instant
  ) {
    guard let worker = workers.removeValue(forKey: id) else { return }
    workerOfPeer[worker.peer] = nil
    windows?.lost(worker: id)
    if case .busy(let number) = worker.state {
      end(number, outcome, reason: "worker \(id): \(reason)", now: now)
    }
    endOffers(of: id, outcome, reason: "worker \(id): \(reason)", now: now)
    let localIndex = ownsProcess ? worker.hello.localIndex : nil
    send(.workerLeft(workerID: id, peer: worker.peer, localIndex: localIndex, reason: reason))
  }

  /// An error that a worker reports: of an attempt, or of the worker as a whole.
  mutating func fail(
    _ peer: PeerID, _ session: SessionID, attempt number: Int?, reason: String, isNotFinite: Bool = false,
    now: Instant
  ) {
    guard let id = known(peer, session, now: now), let worker = workers[id] else { return }
    guard let number else { return remove(id, reason: reason, outcome: .failed, now: now) }
    guard worker.state == .busy(attempt: number) else { return }
    // It may be missing what it was sent, so it is sent again.
    workers[id]?.tiers = [:]
    setState(of: id, .ready, now: now)
    if isNotFinite {
      return failNotFinite(number, word: reason, reason: "worker \(id): \(reason)", .failed, now: now)
    }
    end(number, .failed, reason: "worker \(id): \(reason)", now: now)
  }

  /// GOODBYE. Whoever leaves with a shard in hand that is still wanted has failed at it, however politely: else it could
  /// take it again and again.
  mutating func leave(_ id: Int, now: Instant) {
    if case .busy(let number) = workers[id]?.state, let attempt = attempts[number], let place = attempt.place,
      !attempt.isCancelled, !attempt.isCounted
    {
      attempts[number]?.isCounted = true
      countFailure(at: place, attempt, reason: "worker \(id): it left", now: now)
    }
    remove(id, reason: "it was told to end", outcome: .cancelled, now: now)
  }

  /// Workers that compute or could.
  var usableWorkers: [Worker] { workers.values.filter(\.isUsable) }

  // MARK: - Draining

  mutating func drain(now: Instant) {
    guard case .running = phase else { return }
    phase = .draining
    stateSince = now
  }

  /// Once no unit is open, or nobody is there to finish it, the workers are sent away; once they are gone, or their
  /// time is over, the run is.
  mutating func leaveIfDone(now: Instant) {
    if case .draining = phase, open == nil || usableWorkers.isEmpty || shardWithoutArbiter != nil {
      abandonUnit(now: now)
      for id in workers.keys.sorted() {
        guard let worker = workers[id] else { continue }
        if case .busy(let number) = worker.state {
          end(number, .cancelled, reason: "the run ended", now: now)
        }
        setState(of: id, .leaving, now: now)
        send(.sendDrain(peer: worker.peer, session: worker.session))
      }
      phase = .leaving(until: now + settings.drainSeconds)
      stateSince = now
    }
    if case .leaving(let until) = phase, workers.isEmpty || until <= now {
      for id in workers.keys.sorted() {
        remove(
          id, reason: "it did not leave within \(Int(settings.drainSeconds)) s", outcome: .cancelled, now: now
        )
      }
      phase = .completed
      stateSince = now
      conclude(.drained)
    }
  }
}

/// SplitMix64's finalizer: spreads a counter over 64 bits.
private func mix(_ value: UInt64) -> UInt64 {
  var z = value &+ 0x9E37_79B9_7F4A_7C15
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  return z ^ (z >> 31)
}
