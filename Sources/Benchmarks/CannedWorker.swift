import Coordination
import Foundation
import Kernels
import Service
import Training
import Transport
import WireProtocol

/// A worker that speaks the protocol by the real `WorkerCore` and `Dealer`, and has all its answers ready. Belongs to one
/// thread.
final class CannedWorker {
  private let number: Int
  private let endpoint: String
  private let fleet: CannedFleet
  private let waker: Waker
  private var core: WorkerCore
  private var dealer: Dealer?
  private var layout: TierLayout?
  private var chains = WorkerChains()
  /// What came before all workers were there.
  private var held: (job: Int, message: AssignMessage)?
  private var timer = Instant.never
  private var ending: (successful: Bool, reason: String)?
  /// What the core said last.
  private var lastLine = ""

  init(number: Int, endpoint: String, fleet: CannedFleet) throws {
    self.number = number
    self.endpoint = endpoint
    self.fleet = fleet
    waker = try Waker()
    let hello = Hello(
      program: Program.version, numericProfile: NumericProfile.name(of: .f32),
      isa: String(cString: nl_isa_name(nl_isa_current())), threads: 1, host: "canned-\(number)",
      processID: Int(ProcessInfo.processInfo.processIdentifier))
    core = WorkerCore(settings: WorkerSettings(hello: hello, endpoint: endpoint))
  }

  /// Works until the coordinator sends it away, or the fleet is stopped.
  ///
  /// - Throws: why it is of no use.
  func run() throws {
    defer { dealer?.close(flushing: ending?.successful ?? false) }
    try handle(.start)
    while ending == nil && !fleet.isStopped { try serve() }
    if let ending, !ending.successful { throw ServiceError(ending.reason) }
  }

  private func serve() throws {
    let longest = held == nil ? 0.5 : 0.01
    let wait = max(0, min(longest, timer.seconds(since: MonotonicClock.now())))
    for received in try dealer?.poll(timeout: wait) ?? [] {
      switch received {
      case .success((let envelope, let message)): try handle(.message(envelope, message))
      case .failure(let error): try handle(.connectionFailed(reason: "\(error)"))
      }
    }
    if dealer?.takeBreak() == true { try handle(.connectionFailed(reason: "it was broken off")) }
    if let (job, message) = held, fleet.isComplete {
      held = nil
      try handle(try answer(job, message))
    }
    if MonotonicClock.now() >= timer {
      timer = .never
      try handle(.timer)
    }
  }

  /// Does what the core says, and what follows from it.
  private func handle(_ event: WorkerEvent) throws {
    var events = [event]
    while !events.isEmpty {
      for effect in core.step(events.removeFirst(), now: MonotonicClock.now()) {
        if let next = try carryOut(effect) { events.append(next) }
      }
    }
  }

  private func carryOut(_ effect: WorkerEffect) throws -> WorkerEvent? {
    switch effect {
    case .connect:
      dealer?.close(flushing: false)
      dealer = try Dealer(connect: endpoint, waker: waker)
    case .send(let message): return send(message)
    case .loadModel(let welcome):
      layout = TierLayout(welcome)
      chains.removeAll()
      return .modelLoaded(sha256: welcome.modelSHA256)
    case .probe(let probe):
      let digest = try fleet.answers.probe(seed: probe.seed)
      fleet.admitted(number)
      return .probed(sha256: digest)
    case .takeWindow(let window): if let layout { try chains.take(window, layout: layout) }
    case .compute(let job, let message): return try begin(job, message)
    case .stop(let job):
      held = nil
      return .stopped(job: job)
    case .renew(_, let attempt): return send(.leaseRenew(LeaseRenew(attempt: attempt, progress: 0)))
    case .exit(let successful, let reason): ending = (successful, reason)
    case .armTimer(let time): timer = time
    case .abandon:
      held = nil
      // It has not only left its run.
      if case .greeting = core.state { fleet.lostSession(lastLine) }
    case .log(let line): lastLine = line
    case .apply: break
    }
    return nil
  }

  private func send(_ message: Message) -> WorkerEvent? {
    do {
      try dealer?.send(message, of: core.work, session: core.session)
      return nil
    } catch { return .connectionFailed(reason: "\(error)") }
  }

  private func begin(_ job: Int, _ message: AssignMessage) throws -> WorkerEvent? {
    fleet.marks.note(message)
    guard fleet.isComplete else {
      held = (job, message)
      return nil
    }
    return try answer(job, message)
  }

  private func answer(_ job: Int, _ message: AssignMessage) throws -> WorkerEvent {
    guard let layout else { return .computeFailed(job: job, reason: "there was no WELCOME") }
    return .computed(job: job, try fleet.answers.result(of: message, layout, &chains))
  }
}
