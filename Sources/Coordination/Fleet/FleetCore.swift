import WireProtocol

/// A coordinator's workers, whichever run they work on: who is here, who they are, what they may and can do, which run
/// has whom. Each run's work is shared out by a `ShardScheduler` of its own; what is known of identities belongs to all
/// of them. Pure: the same state, event and time give the same effects.
public struct FleetCore: Sendable {
  public let settings: FleetSettings

  enum Phase: Sendable {
    case open
    /// The workers are sent away once no run is left.
    case closing
    /// They have been told to leave, and have until then.
    case leaving(until: Instant)
    case closed
  }

  var phase = Phase.open
  /// By id; ids are given in the order of joining.
  var members: [Int: Member] = [:]
  var memberOfPeer: [PeerID: Int] = [:]
  private var nextMemberID = 1
  /// Runs that want workers.
  var runs: [RunNumber: FleetRun] = [:]
  /// Runs that rest: others may have their workers.
  var resting = Set<RunNumber>()
  /// Runs with a shard that nobody can go on with before another worker has computed it, and how many workers each is to
  /// have for that.
  var workersNeeded: [RunNumber: Int] = [:]
  var trust = Trust()
  /// Whether runs are to begin that are not known yet.
  private var expectsRuns = false
  /// Who works on what is to be looked at anew.
  var placementIsDue = false

  private var armed = Instant.never
  /// Nobody has been silent for too long before then.
  private var silence = Instant.never
  /// After a stall of the coordinator's own loop nothing is judged before then.
  private var deferredUntil: Instant?
  var effects: [FleetEffect] = []

  public init(settings: FleetSettings, now: Instant) {
    self.settings = settings
  }

  /// Takes one event and says what is to be done. `now` must not go backwards.
  public mutating func step(_ event: FleetEvent, now: Instant) -> [FleetEffect] {
    take(event, now: now)
    place(now: now)
    closeIfDone(now: now)
    arm(now: now)
    defer { effects = [] }
    return effects
  }

  private mutating func take(_ event: FleetEvent, now: Instant) {
    switch event {
    case .hello(let peer, let hello, let key): join(peer, hello, key: key, now: now)
    case .reported(let peer, let session, let work, let report):
      if let id = known(peer, session, now: now) { hear(report, of: id, work, now: now) }
    case .heard(let peer, let session): _ = known(peer, session, now: now)
    case .arriving(let peer):
      guard let id = memberOfPeer[peer] else { break }
      noteSign(of: id, now: now)
      noteMovement(of: id, now: now)
    case .leaving(let peer): if let id = memberOfPeer[peer] { noteMovement(of: id, now: now) }
    case .peerLost(let peer, let reason):
      if let id = memberOfPeer[peer] { remove(id, reason: reason, now: now) }
    case .goodbye(let peer, let session):
      if let id = known(peer, session, now: now) { leave(id, now: now) }
    case .begin(let run, let settings): begin(run, settings, now: now)
    case .requested(let run, let request): tell(run, .requested(request), now: now)
    case .rest(let run, let rests): rest(run, rests)
    case .expectsRuns(let expects): expectsRuns = expects
    case .close: if case .open = phase { phase = .closing }
    case .timer: judgeDeadlines(now: now)
    }
  }

  // MARK: - Runs

  private mutating func begin(_ run: RunNumber, _ settings: SchedulerSettings, now: Instant) {
    guard runs[run] == nil else { return }
    var ofRun = settings
    ofRun.maximumWorkers = self.settings.maximumWorkers
    ofRun.heartbeatSeconds = self.settings.heartbeatSeconds
    runs[run] = FleetRun(scheduler: ShardScheduler(settings: ofRun, now: now))
    trust.quarantined.formUnion(settings.quarantined)
    for member in members.values.sorted(by: { $0.id < $1.id })
    where trust.quarantined.contains(member.owner.identity) {
      expel(member.id, "a worker of \(member.owner.identity) has come to a wrong result before", now: now)
    }
    placementIsDue = true
  }

  private mutating func rest(_ run: RunNumber, _ rests: Bool) {
    guard runs[run] != nil else { return }
    if rests { resting.insert(run) } else { resting.remove(run) }
    placementIsDue = true
  }

  /// What a worker says of its work. Of a run that it is not in, or of another term, nothing is used; a result is
  /// answered, so that it is not kept for nothing.
  private mutating func hear(_ report: WorkerReport, of id: Int, _ work: RunTerm, now: Instant) {
    guard let member = members[id] else { return }
    guard let place = member.place, place.run == work.run, term(of: place.run) == work.term else {
      if case .result(let result) = report {
        runs[work.run]?.scheduler.ignoredResults[.stale, default: 0] += 1
        let answer = SchedulerEffect.acknowledge(
          peer: member.peer, session: member.session, attempt: result.attempt, outcome: .stale)
        effects.append(.work(work.run, answer))
      }
      return
    }
    tell(place.run, .reported(workerID: place.workerID, report), now: now)
  }

  private func term(of run: RunNumber) -> UInt64? { runs[run]?.scheduler.settings.term }

  /// What a result would be answered with, were it to come now; nil: it is wanted, so its bytes are worth sending.
  /// Changes nothing: the result itself, or what it says of itself, is then to be told by `.reported`.
  public func verdict(
    on result: ResultSummary, peer: PeerID, session: SessionID, work: RunTerm
  ) -> ResultOutcome? {
    guard let member = memberOfPeer[peer].flatMap({ members[$0] }), member.session == session,
      let place = member.place, place.run == work.run, term(of: place.run) == work.term
    else { return .stale }
    return runs[place.run]?.scheduler.verdict(on: result, of: place.workerID)
  }

  /// Tells a run's scheduler of something, and sees to what concerns the fleet in what it says.
  mutating func tell(_ run: RunNumber, _ event: SchedulerEvent, now: Instant) {
    guard let said = runs[run]?.step(event, &trust, now: now) else { return }
    for effect in said { take(effect, of: run, now: now) }
    if runs[run]?.scheduler.hasIdlePromised == true { placementIsDue = true }
    noteNeed(of: run)
  }

  private mutating func take(_ effect: SchedulerEffect, of run: RunNumber, now: Instant) {
    effects.append(.work(run, effect))
    switch effect {
    case .enterRun(let peer, _, let workerID):
      if let id = memberOfPeer[peer] { members[id]?.place = (run, workerID) }
    case .workerLeft(_, let peer, let reason, let isDismissed):
      guard let id = memberOfPeer[peer], let member = members[id] else { return }
      members[id]?.place = nil
      placementIsDue = true
      if isDismissed { return remove(id, reason: reason, now: now) }
      effects.append(.leaveRun(peer: peer, session: member.session, run))
    case .quarantine(_, let identity, let reason): distrust(identity, reason, saidBy: run, now: now)
    case .drained:
      runs[run] = nil
      resting.remove(run)
      placementIsDue = true
    default: break
    }
  }

  /// Who has come to a wrong result in one run is trusted in none.
  private mutating func distrust(_ identity: String, _ reason: String, saidBy run: RunNumber, now: Instant) {
    for other in runs.keys.sorted() where other != run {
      guard let workerID = runs[other]?.scheduler.lastWorker[identity] else { continue }
      let request = RunRequest.distrust(workerID: workerID, identity: identity, reason: reason)
      tell(other, .requested(request), now: now)
    }
    for id in members.keys.sorted() where members[id]?.owner.identity == identity {
      // Those of a run are sent away by it.
      if members[id]?.place == nil { expel(id, reason, now: now) }
    }
  }

  private mutating func expel(_ id: Int, _ reason: String, now: Instant) {
    guard let member = members[id] else { return }
    effects.append(.reject(peer: member.peer, code: .quarantined, reason: reason))
    remove(id, reason: "quarantined: \(reason)", now: now)
  }

  // MARK: - Joining

  /// The member of a message that bears its session; its sign of life. A peer without a session is told so, and may join
  /// on a new connection.
  private mutating func known(_ peer: PeerID, _ session: SessionID, now: Instant) -> Int? {
    guard let id = memberOfPeer[peer] else {
      if case .open = phase {
        let reason = "this connection has no session; join again"
        effects.append(.reject(peer: peer, code: .unknownSession, reason: reason))
      } else {
        effects.append(.reject(peer: peer, code: .draining, reason: "the run is over"))
      }
      return nil
    }
    guard members[id]?.session == session else { return nil }
    noteSign(of: id, now: now)
    return id
  }

  /// A member has been heard; its run shows that, too.
  private mutating func noteSign(of id: Int, now: Instant) {
    members[id]?.lastHeard = now
    if let place = members[id]?.place { runs[place.run]?.scheduler.workers[place.workerID]?.lastHeard = now }
  }

  private mutating func noteMovement(of id: Int, now: Instant) {
    guard let place = members[id]?.place else { return }
    tell(place.run, .reported(workerID: place.workerID, .moved(attempt: nil)), now: now)
  }

  private mutating func join(_ peer: PeerID, _ hello: Hello, key: String?, now: Instant) {
    if let id = memberOfPeer[peer] {
      // HELLO came twice: the answer may have been lost, but there is still one session.
      guard let member = members[id], isNew(member) else { return }
      noteSign(of: id, now: now)
      return effects.append(.welcome(peer: peer, session: member.session, memberID: id, hello))
    }
    let identity = key ?? "\(hello.host)/\(hello.processID)"
    let owner = Owner(identity: identity, host: key == nil ? hello.host : nil)
    if let (code, reason) = objection(to: hello, owner) {
      effects.append(.log("A worker on \(hello.host) was turned away: \(reason)"))
      return effects.append(.reject(peer: peer, code: code, reason: reason))
    }
    // Before its old session is taken for one that ended with its process.
    for run in runs.keys.sorted() {
      guard let settings = runs[run]?.scheduler.settings, hello.terms[settings.run] == settings.term else {
        continue
      }
      let process = Worker.process(of: hello, identity)
      tell(run, .cameBack(process: process, identity: identity), now: now)
    }
    replaceLocal(hello.localIndex, now: now)
    let id = nextMemberID
    nextMemberID += 1
    let session = SessionID(
      high: mix(settings.sessionSeed),
      low: mix(settings.sessionSeed &+ UInt64(bitPattern: Int64(id))))
    members[id] = Member(
      id: id, peer: peer, session: session, hello: hello, owner: owner, joined: now, lastHeard: now)
    memberOfPeer[peer] = id
    silence = min(silence, now + settings.silenceSeconds)
    placementIsDue = true
    effects.append(.welcome(peer: peer, session: session, memberID: id, hello))
  }

  /// Whether a worker has done nothing yet since it was welcomed.
  private func isNew(_ member: Member) -> Bool {
    guard let place = member.place else { return true }
    return runs[place.run]?.scheduler.workers[place.workerID]?.state == .loading
  }

  /// Why a worker cannot take part.
  private func objection(to hello: Hello, _ owner: Owner) -> (RejectCode, String)? {
    guard case .open = phase else { return (.draining, "the run is over") }
    if trust.quarantined.contains(owner.identity) {
      return (.quarantined, "a worker of \(owner.identity) has come to a wrong result before in this run")
    }
    let misfits = runs.sorted { $0.key < $1.key }.map { Member.misfit(hello, $0.value.scheduler.settings) }
    if !expectsRuns, let first = misfits.first, misfits.allSatisfy({ $0 != nil }) { return first }
    if members.count >= settings.maximumWorkers {
      return (.full, "the run already has \(settings.maximumWorkers) workers")
    }
    if owner.host == nil,
      members.values.count(where: { $0.owner == owner }) >= settings.maximumWorkersOfKey
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
    for id in members.keys.sorted() where members[id]?.hello.localIndex == index {
      // The process of this number is the new one now, and must not be taken for the one that left.
      remove(id, reason: "another process took its place", ownsProcess: false, now: now)
    }
  }

  // MARK: - Leaving

  private mutating func leave(_ id: Int, now: Instant) {
    remove(id, reason: "it was told to end", now: now) { .left(workerID: $0) }
  }

  /// Takes a worker off the list, and off that of its run; what it was computing goes to others.
  ///
  /// - Parameter event: what its run is told, of the worker of this number there
  private mutating func remove(
    _ id: Int, reason: String, ownsProcess: Bool = true, now: Instant,
    _ event: ((Int) -> SchedulerEvent)? = nil
  ) {
    guard let member = members.removeValue(forKey: id) else { return }
    memberOfPeer[member.peer] = nil
    placementIsDue = true
    if let place = member.place {
      let lost = SchedulerEvent.gone(workerID: place.workerID, reason: reason, .lost)
      tell(place.run, event?(place.workerID) ?? lost, now: now)
    }
    let localIndex = ownsProcess ? member.hello.localIndex : nil
    effects.append(.memberLeft(memberID: id, peer: member.peer, localIndex: localIndex, reason: reason))
  }

  /// Once no run is left the workers are sent away; once they are gone, or their time is over, the fleet is closed.
  private mutating func closeIfDone(now: Instant) {
    if case .closing = phase, runs.isEmpty {
      for id in members.keys.sorted() {
        guard let member = members[id] else { continue }
        effects.append(.sendDrain(peer: member.peer, session: member.session))
      }
      phase = .leaving(until: now + settings.drainSeconds)
    }
    guard case .leaving(let until) = phase, members.isEmpty || until <= now else { return }
    for id in members.keys.sorted() {
      remove(id, reason: "it did not leave within \(Int(settings.drainSeconds)) s", now: now)
    }
    phase = .closed
    effects.append(.closed)
  }

  // MARK: - Deadlines

  /// Judged on the timer alone, and not at once when the timer itself comes late: then the coordinator's own loop (or
  /// the whole machine) stood still, and what has been sent meanwhile is heard first.
  private mutating func judgeDeadlines(now: Instant) {
    if let until = deferredUntil {
      guard until <= now else { return }
      deferredUntil = nil
    } else if armed != .never, now.seconds(since: armed) > 0.5 {
      for run in runs.keys.sorted() { tell(run, .excused(seconds: now.seconds(since: armed)), now: now) }
      deferredUntil = now + settings.silenceSeconds / 2
      return
    }
    for id in members.keys.sorted() {
      guard let member = members[id], member.lastHeard + settings.silenceSeconds <= now else { continue }
      remove(id, reason: "nothing was heard of it for \(Int(settings.silenceSeconds)) s", now: now)
    }
    for run in runs.keys.sorted() where (runs[run]?.deadline ?? .never) <= now { tell(run, .timer, now: now) }
  }

  private var firstSilence: Instant {
    (members.values.lazy.map(\.lastHeard).min() ?? .never) + settings.silenceSeconds
  }

  private var nextDeadline: Instant {
    var next = min(runs.values.lazy.map(\.deadline).min() ?? .never, silence)
    if case .leaving(let until) = phase { next = min(next, until) }
    return deferredUntil.map { max($0, next) } ?? next
  }

  /// A timer that comes early does no harm, so it is set again only when it would come too late.
  private mutating func arm(now: Instant) {
    // Whoever is heard is silent later; an earlier time does no harm, and looking at all at each message would.
    if armed <= now || armed == .never { silence = firstSilence }
    let next = nextDeadline
    guard next < armed || armed <= now || (next == .never && armed != .never) else { return }
    armed = next
    effects.append(.armTimer(next))
  }
}

/// SplitMix64's finalizer: spreads a counter over 64 bits.
private func mix(_ value: UInt64) -> UInt64 {
  var z = value &+ 0x9E37_79B9_7F4A_7C15
  z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
  z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
  return z ^ (z >> 31)
}
