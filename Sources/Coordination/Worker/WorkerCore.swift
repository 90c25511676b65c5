import WireProtocol

/// What a worker does: join, load, compute, and join again when the coordinator is gone. Pure: the same state, event
/// and time give the same effects.
public struct WorkerCore: Sendable {
  public enum State: Sendable, Equatable {
    case started
    /// HELLO is out; the number of those that were not answered.
    case greeting(unanswered: Int)
    /// It has a session, and works on no run.
    case waiting
    case loading
    case ready
    case computing(job: Int, attempt: Int)
    /// The shard at hand is still finished.
    case leaving(job: Int, attempt: Int)
    case gone
  }

  public let settings: WorkerSettings
  public internal(set) var state = State.started
  public private(set) var session = SessionID.none
  /// The run that it works on, as the coordinator numbers it; none while it works on none.
  public private(set) var work = RunTerm.none
  /// Of each run the highest term that was seen, so that an older coordinator is not listened to again; and the runs, the
  /// last one last.
  private var terms: [String: UInt64] = [:]
  private var knownRuns: [String] = []

  /// What it was told of its run; nil while it works on none.
  var entered: EnterRun?
  private var heartbeatSeconds: Double?
  /// Versions of the tiers that have been set in this run.
  var versions: [Int: Int] = [:]
  var nextJob = 1
  /// When the coordinator was last heard; before the first time, when the worker started.
  private var lastHeard = Instant.zero
  private var lastSent = Instant.zero
  /// When the present HELLO has waited long enough, or the present leave-taking.
  private var deadline = Instant.never
  /// Why the coordinator did not take this worker the last time.
  private var lastRefusal: String?
  var effects: [WorkerEffect] = []
  private var armed = Instant.never

  public init(settings: WorkerSettings) { self.settings = settings }

  /// Takes one event and says what is to be done. `now` must not go backwards.
  public mutating func step(_ event: WorkerEvent, now: Instant) -> [WorkerEffect] {
    guard state != .gone else { return [] }
    switch event {
    case .start:
      lastHeard = now
      greet(unanswered: 0, now: now)
    case .message(let envelope, let message): take(message, envelope, now: now)
    case .arriving: if hasSession { lastHeard = now }
    case .connectionFailed(let reason): reconnect("the connection failed: \(reason)", now: now)
    case .refused(let reason, let isFinal): refused(reason, isFinal: isFinal)
    case .modelLoaded(let sha256): loaded(sha256, now: now)
    case .modelFailed(let reason):
      if state == .loading { send(.error(ErrorMessage(code: .model, reason: reason)), now: now) }
      exit(successful: false, "the model could not be loaded: \(reason)")
    case .probed(let sha256):
      if state == .ready { send(.probeResult(ProbeResult(sha256: sha256)), now: now) }
    case .computed(let job, let result): computed(job, .result(result), now: now)
    case .computeFailed(let job, let reason, let isNotFinite):
      guard let attempt = attempt(of: job) else { break }
      let code: ErrorCode = isNotFinite ? .notFinite : .compute
      computed(job, .error(ErrorMessage(code: code, reason: reason, attempt: attempt)), now: now)
    case .stopped(let job):
      guard let attempt = attempt(of: job) else { break }
      computed(job, .cancelled(Cancelled(attempt: attempt)), now: now)
    case .terminate: terminate(now: now)
    case .timer: judgeDeadlines(now: now)
    }
    arm(now: now)
    defer { effects = [] }
    return effects
  }

  // MARK: - Joining

  private mutating func greet(unanswered: Int, now: Instant) {
    state = .greeting(unanswered: unanswered)
    session = .none
    forgetRun()
    effects.append(.connect)
    var hello = settings.hello
    hello.terms = terms
    send(.hello(hello), now: now)
    let wait = settings.helloSeconds * Double(1 << min(unanswered, 16))
    deadline = now + min(wait, settings.maximumHelloSeconds)
  }

  private mutating func reconnect(_ reason: String, now: Instant) {
    if case .leaving(_, let attempt) = state {
      return exit(successful: true, "left without finishing attempt \(attempt): \(reason)")
    }
    if case .greeting(let unanswered) = state {
      // A socket that fails at once must not be opened again at once: the deadline is kept.
      log(reason)
      state = .greeting(unanswered: unanswered)
      return
    }
    log("\(reason); joining again")
    effects.append(.abandon)
    greet(unanswered: 0, now: now)
  }

  private mutating func take(_ message: Message, _ envelope: Envelope, now: Instant) {
    switch (state, message) {
    case (.greeting, .welcome(let welcome)): begin(welcome, envelope, now: now)
    case (_, .reject(let reject)): rejected(reject, envelope, now: now)
    case (.started, _), (.greeting, _): break
    default:
      // Every later message bears the session of WELCOME, and one about work the run and the term of ENTER_RUN.
      guard envelope.session == session else { break }
      lastHeard = now
      switch message {
      case .enterRun(let run): enter(run, envelope.work, now: now)
      case .drain:
        send(.drained, now: now)
        exit(successful: true, "the run is over")
      case .ping: send(.pong, now: now)
      default: if envelope.work == work, work != .none { serve(message, now: now) }
      }
    }
  }

  private mutating func begin(_ welcome: Welcome, _ envelope: Envelope, now: Instant) {
    guard envelope.session != .none else { return }
    lastHeard = now
    lastRefusal = nil
    deadline = .never
    session = envelope.session
    heartbeatSeconds = welcome.heartbeatSeconds
    state = .waiting
    log("joined \(settings.endpoint)")
  }

  // MARK: - Runs

  private mutating func enter(_ run: EnterRun, _ work: RunTerm, now: Instant) {
    guard work.run != .none else { return }
    if case .leaving = state { return }
    let known = terms[run.run] ?? 0
    guard work.term >= known else {
      let reason = "a coordinator of term \(work.term) was not listened to: term \(known) has begun"
      return reconnect(reason, now: now)
    }
    if state != .waiting { effects.append(.abandon) }
    forgetRun()
    (terms[run.run], self.work, entered) = (work.term, work, run)
    knownRuns.removeAll { $0 == run.run }
    knownRuns.append(run.run)
    if knownRuns.count > WireLimits.knownRuns { terms[knownRuns.removeFirst()] = nil }
    state = .loading
    log("works on a run as worker \(run.workerID)")
    effects.append(.loadModel(run))
  }

  /// The run has no work for it any more; another may have.
  mutating func leaveRun(now: Instant) {
    if case .leaving(_, let attempt) = state {
      send(.goodbye, now: now)
      return exit(successful: true, "left without finishing attempt \(attempt), which is not needed any more")
    }
    effects.append(.abandon)
    forgetRun()
    state = .waiting
  }

  private mutating func forgetRun() {
    work = .none
    entered = nil
    versions = [:]
  }

  // MARK: - Refusals

  private mutating func rejected(_ reject: Reject, _ envelope: Envelope, now: Instant) {
    guard envelope.session == session || envelope.session == .none else { return }
    guard reject.code.mayRetry else {
      return exit(
        successful: reject.code == .draining,
        "the coordinator at \(settings.endpoint) refused: \(reject.reason)")
    }
    if case .greeting = state {
      lastRefusal = reject.reason
      return log("the coordinator does not take workers now: \(reject.reason)")
    }
    lastHeard = now
    reconnect("the coordinator does not know this session: \(reject.reason)", now: now)
  }

  /// At the door, before any message. The same reason, again and again, is told once.
  private mutating func refused(_ reason: String, isFinal: Bool) {
    if isFinal {
      return exit(successful: false, "the coordinator at \(settings.endpoint) refused: \(reason)")
    }
    guard case .greeting = state, lastRefusal != reason else { return }
    lastRefusal = reason
    log("the coordinator at \(settings.endpoint) takes no workers: \(reason)")
  }

  private mutating func loaded(_ sha256: String, now: Instant) {
    guard state == .loading, let entered else { return }
    guard sha256 == entered.modelSHA256 else {
      let reason = "its SHA-256 is \(sha256), the run's is \(entered.modelSHA256)"
      send(.error(ErrorMessage(code: .model, reason: reason)), now: now)
      return exit(successful: false, "the model is not the run's: \(reason)")
    }
    state = .ready
    send(.ready(Ready(modelSHA256: sha256)), now: now)
  }

  // MARK: - Leaving

  private mutating func terminate(now: Instant) {
    switch state {
    case .computing(let job, let attempt):
      state = .leaving(job: job, attempt: attempt)
      deadline = now + settings.drainSeconds
    case .waiting, .loading, .ready:
      send(.goodbye, now: now)
      exit(successful: true, "asked to leave")
    case .started, .greeting: exit(successful: true, "asked to leave")
    case .leaving, .gone: break
    }
  }

  mutating func exit(successful: Bool, _ reason: String) {
    state = .gone
    effects.append(.exit(successful: successful, reason: reason))
  }

  // MARK: - Deadlines

  private mutating func judgeDeadlines(now: Instant) {
    switch state {
    case .started, .gone: return
    case .greeting(let unanswered):
      guard deadline <= now else { return }
      guard lastHeard + settings.giveUpSeconds > now else {
        if let lastRefusal {
          return exit(
            successful: false, "the coordinator at \(settings.endpoint) takes no workers: \(lastRefusal)")
        }
        return exit(
          successful: false,
          "no coordinator answered at \(settings.endpoint) for \(Int(settings.giveUpSeconds)) s; is it running, and "
            + "is the address right?")
      }
      greet(unanswered: unanswered + 1, now: now)
    case .leaving(_, let attempt):
      if deadline <= now {
        send(.goodbye, now: now)
        return exit(successful: true, "left without finishing attempt \(attempt)")
      }
      judgeSilence(now: now)
    case .waiting, .loading, .ready, .computing: judgeSilence(now: now)
    }
  }

  private mutating func judgeSilence(now: Instant) {
    if silenceDeadline <= now {
      return reconnect("nothing was heard of the coordinator for \(Int(settings.silenceSeconds)) s", now: now)
    }
    guard lastSent + heartbeat <= now else { return }
    switch state {
    case .computing(let job, let attempt), .leaving(let job, let attempt):
      lastSent = now
      effects.append(.renew(job: job, attempt: attempt))
    default: send(.ping, now: now)
    }
  }

  private var hasSession: Bool {
    switch state {
    case .started, .greeting, .gone: false
    case .waiting, .loading, .ready, .computing, .leaving: true
    }
  }

  /// No coordinator asks for more than ten signs of life in a second; whatever it says, it is not flooded.
  private var heartbeat: Double { max(0.1, heartbeatSeconds ?? 1) }
  private var silenceDeadline: Instant { lastHeard + settings.silenceSeconds }

  private mutating func arm(now: Instant) {
    var next = Instant.never
    switch state {
    case .started, .gone: break
    case .greeting: next = deadline
    case .waiting, .loading, .ready, .computing, .leaving:
      next = min(deadline, silenceDeadline, lastSent + heartbeat)
    }
    guard next < armed || armed <= now else { return }
    armed = next
    if next != .never { effects.append(.armTimer(next)) }
  }

  mutating func send(_ message: Message, now: Instant) {
    lastSent = now
    effects.append(.send(message))
  }

  mutating func log(_ line: String) { effects.append(.log(line)) }
}
