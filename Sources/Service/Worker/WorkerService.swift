import Coordination
import Dispatch
import Foundation
import JSON
import Kernels
import Logging
import Observability
import Tensors
import Transport
import WireProtocol

/// A worker at work: it ties the pure core to the socket and the arithmetic. The caller's thread owns the socket;
/// arithmetic runs on a queue beside it, so that the coordinator is answered at any time.
public final class WorkerService {
  /// What other threads tell the one that owns the socket. The session tells apart what belongs to an earlier one.
  private enum DriverEvent: Sendable {
    case event(WorkerEvent, generation: Int)
    /// To be sent in the session of the fetch that asks for it.
    case model(ModelMessage, generation: Int)
    case terminate
  }

  private let options: WorkerOptions
  private let logger: Logger
  private let context = LogContext()
  private var telemetry: Telemetry?
  private var metrics: WorkerMetrics?
  private let queue = DispatchQueue(label: "compute")
  private let generation = Generation()

  private var settings: WorkerSettings
  private var core: WorkerCore
  private var computer: ShardComputer?
  /// The job at hand.
  private var job: (number: Int, watch: ComputationWatch)?
  private var dealer: Dealer?
  /// What came over a connection that broke; the coordinator sends most of it again.
  private let kept = KeptObjects()
  /// Of the fetch of the base model, while it is loading.
  private var channel: ModelChannel?
  /// Where a failpoint wants this process to end, once its result is so far.
  private var death: Failpoint?
  private var memorySign = MemorySign()
  private var timer = Instant.never
  /// When it is next asked whether a part of a message has come.
  private var nextArrivals = Instant.zero
  private var isTerminating = false
  private var ending: (successful: Bool, reason: String)?

  public init(options: WorkerOptions) {
    self.options = options
    logger = options.operations.logger(
      label: "nl-worker", level: options.localIndex == nil ? .info : .warning, context: context)
    let isa = String(cString: nl_isa_name(nl_isa_current()))
    let otherProfile = options.failpoints.word(.numericProfile)
    let hello = Hello(
      program: Program.version,
      numericProfile: otherProfile ?? NumericProfile.name(of: .f32), isa: isa,
      threads: options.threads,
      host: ProcessInfo.processInfo.hostName, processID: Int(ProcessInfo.processInfo.processIdentifier),
      localIndex: options.localIndex,
      numericProfiles: otherProfile == nil ? NumericProfile.all : nil,
      localSecret: options.localSecret)
    var settings = WorkerSettings(hello: hello, endpoint: options.endpoint)
    settings.drainSeconds = options.operations.graceSeconds
    if let seconds = options.failpoints.number(.silence) { settings.silenceSeconds = seconds }
    self.settings = settings
    core = WorkerCore(settings: settings)
  }

  /// Works until the coordinator sends it away, the user ends it, or there is no coordinator for too long.
  ///
  /// - Throws: why the worker is of no use.
  public func run() throws {
    let waker = try Waker()
    let mailbox = Mailbox<DriverEvent> { waker.wake() }
    // A terminal sends Ctrl-C to every process at once; a local worker leaves the answer to its coordinator.
    let isLocal = options.localIndex != nil
    let signals = SignalWatch { number in
      if !(isLocal && number == SIGINT) { mailbox.post(.terminate) }
    }
    defer { signals.cancel() }
    options.failpoints.announce(logger)
    let telemetry = try Telemetry(options: options.operations, context: context, logger: logger)
    defer { telemetry.close() }
    (self.telemetry, metrics) = (telemetry, WorkerMetrics(telemetry.metrics))
    computer = try ShardComputer(
      threads: options.threads, source: try modelSource(), failpoints: options.failpoints,
      modelBytes: options.modelBytes)
    try sayWhichModel()
    try handle(.start, waker, mailbox)
    while ending == nil { try serve(waker, mailbox) }
    dealer?.close(flushing: true)
    guard let ending else { return }
    if !ending.successful { throw ServiceError(ending.reason) }
    logger.info("\(ending.reason)")
  }

  /// A worker that was started with a model's folder says which model that is, so that it is not sent into runs of others.
  /// A folder that cannot be read as one is an error once a run asks for it.
  private func sayWhichModel() throws {
    guard let path = options.modelPath else { return }
    settings.hello.modelSHA256 = try ModelSource.digest(of: path)
    core = WorkerCore(settings: settings)
  }

  private func modelSource() throws -> ModelSource {
    // A local worker has its coordinator's folder, and needs no other.
    let cache =
      options.localIndex != nil && options.modelCache == nil
      ? try? ModelCache(option: nil, environment: ProcessInfo.processInfo.environment)
      : try ModelCache(option: options.modelCache, environment: ProcessInfo.processInfo.environment)
    return ModelSource(
      ownPath: options.modelPath, cache: cache, logger: logger, failpoints: options.failpoints)
  }

  private func serve(_ waker: Waker, _ mailbox: Mailbox<DriverEvent>) throws {
    showToOthers()
    let wait = max(0, min(0.5, timer.seconds(since: MonotonicClock.now())))
    for received in try dealer?.poll(timeout: wait) ?? [] {
      switch received {
      case .success((let envelope, let message)):
        if case .assign = message { options.failpoints.die(at: .exitAccept) }
        if case .resultAck(let ack) = message { forget(ack) }
        feed(message, envelope)
        try handle(.message(envelope, message), waker, mailbox)
      case .failure(let error): try handle(.connectionFailed(reason: "\(error)"), waker, mailbox)
      }
    }
    dieIfDue()
    try hearOfArrivals(waker, mailbox)
    // After the last messages that have come over it.
    if dealer?.takeBreak() == true {
      try handle(.connectionFailed(reason: "it was broken off"), waker, mailbox)
    }
    if let failure = dealer?.takeHandshakeFailure() {
      try handle(refusal(failure), waker, mailbox)
    }
    for event in mailbox.take() {
      switch event {
      case .model(let message, let generation):
        guard generation == self.generation.current, let failure = ask(message) else { break }
        try handle(failure, waker, mailbox)
      case .terminate: try terminate(waker, mailbox)
      case .event(let event, let generation):
        guard generation == self.generation.current else { break }
        if case .modelLoaded = event { channel = nil }
        try handle(event, waker, mailbox)
      }
    }
    if MonotonicClock.now() >= timer {
      timer = .never
      try handle(.timer, waker, mailbox)
    }
  }

  /// What comes of a long message over a slow connection stands for a sign of life, as often as one is due.
  private func hearOfArrivals(_ waker: Waker, _ mailbox: Mailbox<DriverEvent>) throws {
    let now = MonotonicClock.now()
    guard nextArrivals <= now else { return }
    nextArrivals = now + 1
    if dealer?.takeArriving() == true { try handle(.arriving, waker, mailbox) }
  }

  /// The shard at hand is finished and sent, as far as the grace goes. A second request means now.
  private func terminate(_ waker: Waker, _ mailbox: Mailbox<DriverEvent>) throws {
    guard !isTerminating else {
      ending = (true, "stopped at once")
      return
    }
    isTerminating = true
    let grace = options.operations.graceSeconds
    // Whatever may hold this thread up, as a result that the coordinator does not take: nothing here is needed by
    // anybody once the time is over.
    DispatchQueue.global().asyncAfter(deadline: .now() + grace + 1) { [logger] in
      logger.warning("the \(Int(grace)) s of --grace are over")
      _exit(0)
    }
    try handle(.terminate, waker, mailbox)
  }

  private func showToOthers() {
    telemetry?.health.turn()
    metrics?.show(core.state)
    switch core.state {
    case .ready, .computing: telemetry?.health.ready("joined \(options.endpoint)")
    case .started, .greeting: telemetry?.health.notReady("looking for a coordinator at \(options.endpoint)")
    case .waiting: telemetry?.health.ready("joined \(options.endpoint); no run has work for it")
    case .loading: telemetry?.health.notReady("loading the model")
    case .leaving, .gone: telemetry?.health.notReady("leaving")
    }
  }

  private func handle(_ event: WorkerEvent, _ waker: Waker, _ mailbox: Mailbox<DriverEvent>) throws {
    metrics?.count(event)
    var failure: String?
    for effect in core.step(event, now: MonotonicClock.now()) {
      switch effect {
      case .connect:
        logger.info("looking for a coordinator at \(options.endpoint)")
        lookUpName()
        dealer?.close(flushing: false)
        dealer = try Dealer(
          connect: options.endpoint, waker: waker, security: options.security,
          options: options.failpoints.transportOptions, kept: kept)
      case .abandon:
        generation.advance()
        job?.watch.cancel()
        channel?.close()
      case .send(let message): failure = send(message) ?? failure
      case .loadModel(let run):
        context.set("worker", .number(run.workerID))
        load(run, mailbox)
      case .probe(let probe): compute(probe, mailbox)
      case .apply(let parameters): apply(parameters, mailbox)
      case .takeWindow(let window): take(window, mailbox)
      case .compute(let job, let assignment):
        note(assignment)
        compute(job, assignment, mailbox)
      case .stop(let number): if job?.number == number { job?.watch.cancel() }
      case .renew(let number, let attempt):
        let progress = job?.number == number ? job?.watch.steps ?? 0 : 0
        failure = send(.leaseRenew(LeaseRenew(attempt: attempt, progress: progress))) ?? failure
      case .log(let line): logger.info("\(line)")
      case .exit(let successful, let reason): ending = (successful, reason)
      case .armTimer(let time): timer = time
      }
    }
    if let failure { try handle(.connectionFailed(reason: failure), waker, mailbox) }
  }

  /// ZeroMQ tries a name that there is not for ever, and says nothing.
  private func lookUpName() {
    guard let host = TCPAddress.host(of: options.endpoint) else { return }
    let name = host.trimmingCharacters(in: ["[", "]"])
    DispatchQueue.global().async { [logger] in
      var addresses: UnsafeMutablePointer<addrinfo>?
      let code = getaddrinfo(name, nil, nil, &addresses)
      freeaddrinfo(addresses)
      if code != 0 {
        logger.warning("the name \(name) cannot be resolved: \(String(cString: gai_strerror(code)))")
      }
    }
  }

  /// Sends; returns what keeps it from being sent.
  private func send(_ message: Message) -> String? {
    let isResult = if case .result = message { true } else { false }
    if isResult && options.failpoints.fires(.resultDrop) { return nil }
    do {
      try dealer?.send(withMemory(message), of: core.work, session: core.session)
    } catch {
      return "\(error)"
    }
    guard isResult else { return nil }
    for place in [Failpoint.exitUpload, .exitUploaded] where options.failpoints.fires(place) { death = place }
    dieIfDue()
    return nil
  }

  private func withMemory(_ message: Message) -> Message {
    guard case .result(var result) = message, let bytes = memorySign.due() else { return message }
    result.residentBytes = bytes
    return .result(result)
  }

  /// A failpoint: the process is to be killed when its result is as far out as that.
  private func dieIfDue() {
    guard let death, let dealer else { return }
    let isUnderWay = dealer.transfers.contains { $0.isOutgoing && $0.bytes > 0 }
    if dealer.isIdle {
      // Time for ZeroMQ's own thread to bring out what was not transferred.
      if death == .exitUploaded { usleep(100_000) }
    } else if death == .exitUploaded || !isUnderWay {
      return
    }
    Failpoints.die()
  }

  /// What a failed handshake means for this worker, and what its user can do.
  private func refusal(_ failure: HandshakeFailure) -> WorkerEvent {
    switch failure {
    case .keyRefused:
      let key = options.security.map { " \($0.secretKey.publicKey)" } ?? ""
      return .refused(
        reason: "it does not let this worker's public key\(key) in (add it to the file of the coordinator's "
          + "--allow-keys, and start this again)", isFinal: true)
    case .keysOnOneSide where options.security == nil:
      return .refused(
        reason:
          "it wants keys, this worker has none (give --key and --server-key; see nl-tool keygen --help)",
        isFinal: true)
    case .keysOnOneSide:
      return .refused(
        reason:
          "it has no keys, this worker has (start it with --key and --allow-keys; see nl-tool keygen --help)",
        isFinal: true)
    case .notDecided: return .refused(reason: "it could not check this worker's key", isFinal: false)
    case .brokenOff where options.security == nil:
      return .refused(
        reason: "it broke off the handshake (it may be starting or stopping; if it has keys, give --key and "
          + "--server-key, see nl-tool keygen --help)", isFinal: false)
    case .brokenOff:
      return .refused(
        reason:
          "it broke off the handshake (it may be starting or stopping; is --server-key its public key, as it "
          + "says it when it starts?)",
        isFinal: false)
    }
  }

  private func note(_ assignment: AssignMessage) {
    context.set("step", .number(assignment.step))
    logger.debug(
      "computes",
      metadata: [
        "step": "\(assignment.step)", "attempt": "\(assignment.attempt)",
        "shard": "\(assignment.level).\(assignment.index)", "purpose": "\(assignment.purpose.rawValue)",
      ])
  }

  // MARK: Arithmetic

  private func load(_ run: EnterRun, _ mailbox: Mailbox<DriverEvent>) {
    let mine = generation.current
    let channel = ModelChannel { mailbox.post(.model($0, generation: mine)) }
    self.channel = channel
    onQueue(mailbox) { computer in
      do { return .modelLoaded(sha256: try computer.load(run, channel: channel)) } catch {
        return .modelFailed(reason: "\(error)")
      }
    }
  }

  private func compute(_ probe: Probe, _ mailbox: Mailbox<DriverEvent>) {
    onQueue(mailbox) { computer in
      do { return .probed(sha256: try computer.compute(probe)) } catch {
        return .modelFailed(reason: "\(error)")
      }
    }
  }

  /// Hands what comes of the base model to whoever fetches it.
  private func feed(_ message: Message, _ envelope: Envelope) {
    guard let channel, envelope.session == core.session, envelope.work == core.work else { return }
    switch message {
    case .model(let model): channel.deliver(model)
    case .error(let error) where error.code == .model: channel.fail(error.reason)
    default: break
    }
  }

  /// - Returns: why the connection is of no use, if it does not take the message; what has come of the model is kept.
  private func ask(_ message: ModelMessage) -> WorkerEvent? {
    do {
      try dealer?.send(.model(message), of: core.work, session: core.session)
      return nil
    } catch {
      return .connectionFailed(reason: "\(error)")
    }
  }

  private func apply(_ parameters: ParametersMessage, _ mailbox: Mailbox<DriverEvent>) {
    onQueue(mailbox) { computer in
      do {
        try computer.apply(parameters)
        return nil
      } catch { return .modelFailed(reason: "\(error)") }
    }
  }

  /// A chain that cannot be taken is missed by the assignment that needs it, which then fails and says so.
  private func take(_ window: WindowMessage, _ mailbox: Mailbox<DriverEvent>) {
    onQueue(mailbox) { computer in
      try? computer.take(window)
      return nil
    }
  }

  /// A result that the coordinator has an answer to is not asked for again.
  private func forget(_ ack: ResultAck) {
    guard let computer else { return }
    queue.async { computer.forget(attempt: ack.attempt) }
  }

  private func compute(_ job: Int, _ assignment: AssignMessage, _ mailbox: Mailbox<DriverEvent>) {
    let watch = ComputationWatch()
    self.job = (job, watch)
    onQueue(mailbox) { computer in
      do {
        return .computed(job: job, try computer.compute(assignment, watch: watch))
      } catch TensorError.cancelled {
        return .stopped(job: job)
      } catch {
        return .computeFailed(job: job, reason: "\(error)", isNotFinite: error is NotFiniteError)
      }
    }
  }

  /// Runs work in its turn, unless the session or the run that it belongs to has ended by then.
  private func onQueue(
    _ mailbox: Mailbox<DriverEvent>, _ work: @escaping @Sendable (ShardComputer) -> WorkerEvent?
  ) {
    guard let computer else { return }
    let mine = generation.current
    let generation = generation
    queue.async {
      guard generation.current == mine, let event = work(computer) else { return }
      mailbox.post(.event(event, generation: mine))
    }
  }
}

/// Counts sessions and runs, so that what was begun in an earlier one is dropped.
private final class Generation: @unchecked Sendable {
  private let lock = NSLock()
  private var value = 0

  var current: Int { lock.withLock { value } }
  func advance() { lock.withLock { value += 1 } }
}
