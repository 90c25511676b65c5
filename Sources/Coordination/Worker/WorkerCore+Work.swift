import WireProtocol

/// What a worker does with what it is sent.
extension WorkerCore {
  mutating func serve(_ message: Message, now: Instant) {
    switch message {
    case .parameters(let parameters): apply(parameters, now: now)
    case .window(let window): take(window)
    case .assign(let assign): begin(assign, now: now)
    case .probe(let probe): if state == .ready { effects.append(.probe(probe)) }
    case .cancel(let cancel): stop(cancel.attempt, now: now)
    case .leaveRun: leaveRun(now: now)
    case .error(let error): log("the coordinator reports: \(error.reason)")
    case .resultAck(let ack):
      // Late ones, and those of which there are two, are nothing unusual.
      if ack.outcome == .corrupt { log("the result of attempt \(ack.attempt) was \(ack.outcome.rawValue)") }
    case .hello, .welcome, .enterRun, .reject, .ping, .drain, .ready, .probeResult, .accept, .decline,
      .leaseRenew, .cancelled, .result,
      .pong, .drained, .goodbye, .transfer, .model, .status, .statusReply, .control:
      break
    }
  }

  private mutating func apply(_ parameters: ParametersMessage, now: Instant) {
    guard let tiers = entered?.tiers, tiers.indices.contains(parameters.tier) else { return }
    let count = tiers[parameters.tier].reduce(0) { $0 + $1.count }
    guard parameters.values.byteCount == count * 4 else {
      return log("tier \(parameters.tier) came with \(parameters.values.byteCount) bytes, not \(count * 4)")
    }
    versions[parameters.tier] = parameters.version
    effects.append(.apply(parameters))
  }

  private mutating func take(_ window: WindowMessage) {
    guard let tiers = entered?.tiers else { return }
    for chain in window.chains {
      let count = tiers.indices.contains(chain.tier) ? tiers[chain.tier].reduce(0) { $0 + $1.count } : 0
      guard chain.values.byteCount == count * 4, count > 0 else {
        return log("\(chain.values.name) came with \(chain.values.byteCount) bytes, not \(count * 4)")
      }
    }
    effects.append(.takeWindow(window))
  }

  private mutating func begin(_ assign: AssignMessage, now: Instant) {
    switch state {
    case .ready: break
    case .computing(_, assign.attempt), .leaving(_, assign.attempt): return
    case .computing(_, let attempt), .leaving(_, let attempt):
      return refuse(assign, .busy, "attempt \(attempt) is being computed", now: now)
    case .started, .greeting, .waiting, .loading, .gone:
      return refuse(assign, .notReady, "the model is not loaded", now: now)
    }
    for (tier, version) in assign.parameterVersions.enumerated() where versions[tier] != version {
      let own = versions[tier].map { "version \($0)" } ?? "no version"
      return refuse(
        assign, .parameters, "tier \(tier) is asked for at version \(version), \(own) is here", now: now)
    }
    let job = nextJob
    nextJob += 1
    state = .computing(job: job, attempt: assign.attempt)
    send(.accept(Accept(attempt: assign.attempt)), now: now)
    effects.append(.compute(job: job, assign))
  }

  private mutating func refuse(_ assign: AssignMessage, _ code: DeclineCode, _ reason: String, now: Instant) {
    send(.decline(Decline(attempt: assign.attempt, code: code, reason: reason)), now: now)
  }

  /// An attempt is not needed any more. One that is over, or was never here, is as good as stopped.
  private mutating func stop(_ attempt: Int, now: Instant) {
    switch state {
    case .computing(let job, attempt), .leaving(let job, attempt): effects.append(.stop(job: job))
    default: send(.cancelled(Cancelled(attempt: attempt)), now: now)
    }
  }

  /// The attempt that a job is for, if it is still wanted.
  func attempt(of job: Int) -> Int? {
    switch state {
    case .computing(job, let attempt), .leaving(job, let attempt): attempt
    default: nil
    }
  }

  mutating func computed(_ job: Int, _ message: Message, now: Instant) {
    guard attempt(of: job) != nil else { return }
    send(message, now: now)
    if case .leaving = state {
      send(.goodbye, now: now)
      exit(successful: true, "asked to leave")
    } else {
      state = .ready
    }
  }
}
