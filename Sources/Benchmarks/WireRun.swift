import Coordination
import Foundation
import Observability
import Service
import Transport
import WireProtocol

/// Results from a `Dealer` on one thread to a `Router` on another, over one address.
struct WireRun: Sendable {
  private static let pings = 200
  /// Results that are under way at once: the next is encoded while the last is received.
  private static let ahead = 2
  /// Without any message for so long something is wrong, in seconds.
  private static let silenceSeconds = 30.0
  private static let session = SessionID(high: 1, low: 2)

  let endpoint: String
  /// Of a result's gradient.
  let bytes: Int
  let windowBytes: Int
  /// For how long results are begun; two of them at least.
  let seconds: Double

  struct Outcome: Sendable {
    var messages = 0
    /// From the first result's encoding until the last one's receipt.
    var seconds = 0.0
    /// Of both ends together.
    var processorSeconds = 0.0
    var roundTrips = Durations([])
  }

  private var options: TransportOptions {
    var options = TransportOptions()
    // Nobody is welcomed here, and large messages are what it is about.
    options.intake.strangerBytes = options.intake.workerBytes
    options.transfers.windowBytes = windowBytes
    return options
  }

  /// - Throws: `TransportError` if the address cannot be used, `ServiceError` if a message is lost or refused.
  func measure(_ interruption: Interruption) throws -> Outcome {
    let router = try Router(waker: Waker(), options: options)
    defer { router.close() }
    let bound = try router.bind(endpoint)
    let desk = Desk()
    let thread = Thread {
      do { try send(to: bound, desk) } catch { desk.fail(error) }
    }
    thread.start()
    defer { desk.stop() }
    var outcome = Outcome()
    outcome.messages = try receive(router, desk, interruption)
    let (begun, processorSeconds) = desk.start
    outcome.seconds = MonotonicClock.now().seconds(since: begun)
    outcome.processorSeconds = ProcessMetrics.processorSeconds() - processorSeconds
    outcome.roundTrips = desk.roundTrips
    return outcome
  }

  // MARK: The receiving end

  /// Answers what comes until the other end has said goodbye; returns how many results there were.
  private func receive(_ router: Router, _ desk: Desk, _ interruption: Interruption) throws -> Int {
    var count = 0
    var heard = MonotonicClock.now()
    while MonotonicClock.now().seconds(since: heard) < Self.silenceSeconds {
      try interruption.check()
      try desk.check()
      for (peer, received) in try router.poll(timeout: 0.1) {
        heard = MonotonicClock.now()
        switch try received.get().1 {
        case .ping:
          try router.send(.pong, to: peer, of: RunTerm(RunNumber(1), term: 1), session: Self.session)
        case .result(let result):
          count += 1
          guard result.attempt == count, result.gradients.first?.values.byteCount == bytes else {
            throw ServiceError("result \(count) came as another")
          }
        case .goodbye: return count
        default: break
        }
      }
    }
    throw ServiceError("nothing came over \(endpoint) for \(Int(Self.silenceSeconds)) s")
  }

  // MARK: The sending end

  private func send(to bound: String, _ desk: Desk) throws {
    let dealer = try Dealer(connect: bound, waker: Waker(), options: options)
    defer { dealer.close(flushing: false) }
    try ping(dealer, desk)
    let values = (0..<bytes / 4).map { Float($0 % 31 + 1) }
    let begin = desk.begin()
    var attempt = 0
    while !desk.isStopped, attempt < 2 || MonotonicClock.now().seconds(since: begin) < seconds {
      attempt += 1
      let result = ResultMessage(
        attempt: attempt, lossSum: 1, tokens: 1, seconds: 0,
        gradients: [TierGradient(tier: 0, floats: values)])
      try send(.result(result), dealer, desk)
      try poll(dealer, desk) { Self.underWay(dealer) < Self.ahead }
    }
    try send(.goodbye, dealer, desk)
    // What is sent stays until it is received; closing would wait for that only so long.
    try poll(dealer, desk) { false }
  }

  /// Small results are no transfers: of these as many are under way as ZeroMQ takes.
  private func send(_ message: Message, _ dealer: Dealer, _ desk: Desk) throws {
    while !desk.isStopped {
      do {
        return try dealer.send(message, of: RunTerm(RunNumber(1), term: 1), session: Self.session)
      } catch {
        guard error.kind == .congested else { throw error }
      }
      for received in try dealer.poll(timeout: 0.001) { _ = try received.get() }
    }
  }

  private static func underWay(_ dealer: Dealer) -> Int {
    dealer.transfers.first { $0.isOutgoing }.map { $0.waitingMessages + 1 } ?? 0
  }

  /// Round trips of the smallest message; the first one also waits for the connection.
  private func ping(_ dealer: Dealer, _ desk: Desk) throws {
    var times: [Double] = []
    for _ in 0...Self.pings {
      let begin = MonotonicClock.now()
      try dealer.send(.ping, of: RunTerm(RunNumber(1), term: 1), session: Self.session)
      var isAnswered = false
      while !isAnswered {
        if desk.isStopped { return }
        for received in try dealer.poll(timeout: 0.1) where try received.get().1 == .pong {
          isAnswered = true
        }
      }
      times.append(MonotonicClock.now().seconds(since: begin))
    }
    desk.note(Durations(Array(times.dropFirst())))
  }

  private func poll(_ dealer: Dealer, _ desk: Desk, until isDone: () -> Bool) throws {
    while !isDone() && !desk.isStopped {
      for received in try dealer.poll(timeout: 0.1) { _ = try received.get() }
    }
  }
}

/// What the two ends tell each other beside the wire.
private final class Desk: @unchecked Sendable {
  private let lock = NSLock()
  private var failure: (any Error)?
  private var mustStop = false
  private var begun = (time: MonotonicClock.now(), processorSeconds: 0.0)
  private var times = Durations([])

  /// The first result is about to be encoded.
  func begin() -> Instant {
    lock.withLock {
      begun = (MonotonicClock.now(), ProcessMetrics.processorSeconds())
      return begun.time
    }
  }

  var start: (time: Instant, processorSeconds: Double) { lock.withLock { begun } }
  var isStopped: Bool { lock.withLock { mustStop } }
  var roundTrips: Durations { lock.withLock { times } }

  func note(_ roundTrips: Durations) { lock.withLock { times = roundTrips } }
  func fail(_ error: any Error) { lock.withLock { failure = error } }
  func stop() { lock.withLock { mustStop = true } }

  /// - Throws: what the sending end has failed with.
  func check() throws { if let failure = lock.withLock({ failure }) { throw failure } }
}
