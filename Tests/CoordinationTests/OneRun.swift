import WireProtocol

@testable import Coordination

/// What can happen in a scene: to the fleet, or to the work on its only run.
enum SceneEvent {
  case hello(peer: PeerID, Hello, key: String? = nil)
  case ready(peer: PeerID, session: SessionID, Ready)
  case probed(peer: PeerID, session: SessionID, sha256: String)
  case heard(peer: PeerID, session: SessionID)
  case accepted(peer: PeerID, session: SessionID, attempt: Int)
  case declined(peer: PeerID, session: SessionID, attempt: Int, reason: String)
  case renewed(peer: PeerID, session: SessionID, attempt: Int, progress: Int)
  case cancelled(peer: PeerID, session: SessionID, attempt: Int)
  case moved(peer: PeerID, session: SessionID, attempt: Int?)
  case fetched(peer: PeerID, session: SessionID, ModelFetchState)
  case offered(peer: PeerID, session: SessionID, term: UInt64, ResultSummary)
  case result(peer: PeerID, session: SessionID, term: UInt64, ResultSummary)
  case workerError(
    peer: PeerID, session: SessionID, attempt: Int?, reason: String, isNotFinite: Bool = false)
  case peerLost(peer: PeerID, reason: String)
  case goodbye(peer: PeerID, session: SessionID)
  case parametersChanged([Int: TierVersion])
  case open(WorkUnit)
  case windows(WindowTracker?)
  case completeWindows(WindowRequest)
  case added(attempt: Int)
  case hurry
  case abandon
  case distrust(workerID: Int, identity: String, reason: String)
  case committed(WorkUnit)
  case timer
  /// The run is over, and the workers are sent away.
  case drain
}

/// A fleet with one run.
struct OneRun {
  @dynamicMemberLookup
  struct Settings {
    var run: SchedulerSettings
    var fleet = FleetSettings(sessionSeed: 1)

    subscript<Value>(dynamicMember path: WritableKeyPath<SchedulerSettings, Value>) -> Value {
      get { run[keyPath: path] }
      set { run[keyPath: path] = newValue }
    }

    subscript<Value>(dynamicMember path: WritableKeyPath<FleetSettings, Value>) -> Value {
      get { fleet[keyPath: path] }
      set { fleet[keyPath: path] = newValue }
    }
  }

  static let number = RunNumber(1)

  var fleet: FleetCore
  let settings: SchedulerSettings
  /// Whether what is to be added up is so at once.
  var addsAtOnce = true

  init(_ settings: Settings, now: Instant = .zero) {
    self.settings = settings.run
    fleet = FleetCore(settings: settings.fleet, now: now)
    _ = fleet.step(.begin(Self.number, settings.run), now: now)
  }

  mutating func step(_ event: SceneEvent, now: Instant) -> [FleetEffect] {
    step(events(event), now: now)
  }

  private mutating func step(_ events: [FleetEvent], now: Instant) -> [FleetEffect] {
    let effects = events.flatMap { fleet.step($0, now: now) }
    guard addsAtOnce else { return effects }
    let added: [FleetEvent] = effects.compactMap {
      guard case .work(let run, .keepPayload(let attempt, _, _, makesRoom: true)) = $0 else { return nil }
      return .requested(run, .added(attempt: attempt))
    }
    return added.isEmpty ? effects : effects + step(added, now: now)
  }

  private func events(_ event: SceneEvent) -> [FleetEvent] {
    func said(_ peer: PeerID, _ session: SessionID, _ report: WorkerReport, term: UInt64? = nil)
      -> [FleetEvent]
    {
      let work = RunTerm(Self.number, term: term ?? settings.term)
      return [.reported(peer: peer, session: session, work: work, report)]
    }
    func wanted(_ request: RunRequest) -> [FleetEvent] { [.requested(Self.number, request)] }
    return switch event {
    case .hello(let peer, let hello, let key): [.hello(peer: peer, hello, key: key)]
    case .ready(let peer, let session, let ready): said(peer, session, .ready(ready))
    case .probed(let peer, let session, let sha256): said(peer, session, .probed(sha256: sha256))
    case .heard(let peer, let session): [.heard(peer: peer, session: session)]
    case .accepted(let peer, let session, let attempt): said(peer, session, .accepted(attempt: attempt))
    case .declined(let peer, let session, let attempt, let reason):
      said(peer, session, .declined(attempt: attempt, reason: reason))
    case .renewed(let peer, let session, let attempt, let progress):
      said(peer, session, .renewed(attempt: attempt, progress: progress))
    case .cancelled(let peer, let session, let attempt): said(peer, session, .cancelled(attempt: attempt))
    case .moved(let peer, let session, let attempt): said(peer, session, .moved(attempt: attempt))
    case .fetched(let peer, let session, let fetch): said(peer, session, .fetched(fetch))
    case .offered(let peer, let session, let term, let result):
      said(peer, session, .offered(result), term: term)
    case .result(let peer, let session, let term, let result):
      said(peer, session, .result(result), term: term)
    case .workerError(let peer, let session, let attempt, let reason, let isNotFinite):
      said(peer, session, .error(attempt: attempt, reason: reason, isNotFinite: isNotFinite))
    case .peerLost(let peer, let reason): [.peerLost(peer: peer, reason: reason)]
    case .goodbye(let peer, let session): [.goodbye(peer: peer, session: session)]
    case .parametersChanged(let versions): wanted(.parametersChanged(versions))
    case .open(let unit): wanted(.open(unit))
    case .windows(let windows): wanted(.windows(windows))
    case .completeWindows(let request): wanted(.completeWindows(request))
    case .added(let attempt): wanted(.added(attempt: attempt))
    case .hurry: wanted(.hurry)
    case .abandon: wanted(.abandon)
    case .distrust(let id, let identity, let reason):
      wanted(.distrust(workerID: id, identity: identity, reason: reason))
    case .committed(let unit): wanted(.committed(unit))
    case .timer: [.timer]
    case .drain: wanted(.close) + [.close]
    }
  }

  // MARK: - What can be seen

  var scheduler: ShardScheduler {
    fleet.runs[Self.number]?.scheduler ?? ShardScheduler(settings: settings, now: .zero)
  }
  var status: RunStatus { fleet.status(of: Self.number) ?? scheduler.status }
  var isOver: Bool { fleet.status(of: Self.number) == nil }
  var windows: WindowTracker? { scheduler.windows }
  var holders: [Slot: Int] { scheduler.holders }
  var failure: String? { scheduler.failure }
  var provenHosts: Set<String> {
    get { fleet.trust.provenHosts }
    set { fleet.trust.provenHosts = newValue }
  }

  func isQuarantined(_ identity: String) -> Bool { scheduler.isQuarantined(identity) }

  func session(of peer: PeerID) -> SessionID? { fleet.session(of: peer) }

  func isMember(_ peer: PeerID, session: SessionID) -> Bool { fleet.isMember(peer, session: session) }

  func verdict(on result: ResultSummary, peer: PeerID, session: SessionID, term: UInt64) -> ResultOutcome? {
    fleet.verdict(on: result, peer: peer, session: session, work: RunTerm(Self.number, term: term))
  }
}
