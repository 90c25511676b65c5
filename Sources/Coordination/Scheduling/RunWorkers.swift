import WireProtocol

/// A worker of the fleet that works on a run, as the run knows it.
struct Worker: Sendable {
  enum State: Sendable, Equatable {
    case loading
    /// Its arithmetic is compared with the coordinator's.
    case probing
    case ready
    case busy(attempt: Int)
  }

  /// Its number in the run.
  let id: Int
  let peer: PeerID
  let session: SessionID
  @Indirect private(set) var hello: Hello
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
    case .loading, .probing: false
    }
  }

  /// Tells processes apart, also those behind one key.
  var process: String { Self.process(of: hello, identity) }

  static func process(of hello: Hello, _ identity: String) -> String {
    "\(identity) \(hello.host)/\(hello.processID)"
  }
}

/// Workers that come to a run and go.
extension ShardScheduler {
  /// A worker of the fleet is to work on this run.
  mutating func enter(_ newcomer: Newcomer, now: Instant) {
    let id = nextWorkerID
    nextWorkerID += 1
    workers[id] = Worker(
      id: id, peer: newcomer.peer, session: newcomer.session, hello: newcomer.hello, owner: newcomer.owner,
      isNewProcess: newcomer.hello.terms[settings.run] != settings.term, state: .loading, since: now,
      lastHeard: now, admissionDeadline: now + settings.loadSeconds)
    admitting.insert(id)
    lastWorker[newcomer.owner.identity] = id
    // Whoever is forgotten has no result here that is in nobody's record.
    if lastWorker.count > 4 * settings.maximumWorkers {
      lastWorker = lastWorker.filter { workers[$0.value] != nil }
    }
    send(.enterRun(peer: newcomer.peer, session: newcomer.session, workerID: id))
  }

  /// A worker that fetches the model has its time for loading anew whenever there are more bytes, or other ones.
  mutating func fetched(_ id: Int, _ fetch: ModelFetchState, now: Instant) {
    guard let worker = workers[id], worker.state == .loading, worker.fetch != fetch,
      fetch.receivedBytes <= fetch.totalBytes ?? .max
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

  mutating func becomeReady(_ id: Int, _ ready: Ready, now: Instant) {
    guard let worker = workers[id], worker.state == .loading else { return }
    guard ready.modelSHA256 == settings.modelSHA256 else {
      let reason = "its model folder has SHA-256 \(ready.modelSHA256), the run's has \(settings.modelSHA256)"
      send(.reject(peer: worker.peer, code: .model, reason: reason))
      return dismiss(id, reason: reason, outcome: .lost, now: now)
    }
    guard settings.probeSHA256 != nil else { return admit(id, now: now) }
    setState(of: id, .probing, now: now)
    workers[id]?.admissionDeadline = now + settings.probeSeconds
    send(.probe(peer: worker.peer, session: worker.session))
  }

  /// A machine that computes other bits is found before it computes anything that counts.
  mutating func judgeProbe(_ id: Int, _ sha256: String, now: Instant) {
    guard let worker = workers[id], worker.state == .probing else { return }
    guard sha256 == settings.probeSHA256 else {
      let reason =
        "its arithmetic gives other bits than the coordinator's: a probe came to \(sha256), not to "
        + "\(settings.probeSHA256 ?? ""); its machine or its build of the program is at fault"
      send(.reject(peer: worker.peer, code: .numericProfile, reason: reason))
      return dismiss(id, reason: reason, outcome: .lost, now: now)
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
    if state == .probing { admitting.insert(id) } else { admitting.remove(id) }
  }

  /// The run has no use for a worker any more, nor has the fleet.
  mutating func dismiss(_ id: Int, reason: String, outcome: AttemptOutcome, now: Instant) {
    remove(id, reason: reason, outcome: outcome, isDismissed: true, now: now)
  }

  /// Takes a worker off the list; what it was computing goes to others.
  ///
  /// - Parameter isDismissed: the fleet does not know of it yet, and it leaves that too
  mutating func remove(
    _ id: Int, reason: String, outcome: AttemptOutcome, isDismissed: Bool = false, now: Instant
  ) {
    guard let worker = workers.removeValue(forKey: id) else { return }
    admitting.remove(id)
    promised.remove(id)
    windows?.lost(worker: id)
    endOffers(of: id, outcome, reason: "worker \(id): \(reason)", now: now)
    if case .busy(let number) = worker.state {
      end(number, outcome, reason: "worker \(id): \(reason)", now: now)
    }
    send(.workerLeft(workerID: id, peer: worker.peer, reason: reason, isDismissed: isDismissed))
  }

  /// An error that a worker reports: of an attempt, or of the worker as a whole.
  mutating func fail(
    _ id: Int, attempt number: Int?, reason: String, isNotFinite: Bool = false,
    now: Instant
  ) {
    guard let worker = workers[id] else { return }
    guard let number else { return dismiss(id, reason: reason, outcome: .failed, now: now) }
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

  // MARK: - The end

  /// The run needs no workers any more: they go to others.
  mutating func close(now: Instant) {
    guard !isClosed else { return }
    abandonUnit(now: now)
    isClosed = true
    stateSince = now
    for id in workers.keys.sorted() {
      remove(id, reason: "the run is over", outcome: .cancelled, now: now)
    }
    conclude(.drained)
  }
}
