import WireProtocol

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// What one side of a connection knows of the other: sequence numbers, version, transfers.
struct Link: Sendable {
  /// Longer pauses of this process are not held against anybody, in seconds.
  static let excusedPause = 2.0

  private var conversation: Conversation
  var sender: TransferSender
  private var receiver: TransferReceiver
  /// Whether the peer has been given credit for a transfer before.
  var hasCredit = false
  private let outgoing: TransferKind
  private let settings: TransferSettings
  private let kept: KeptObjects

  /// - Parameters:
  ///   - outgoing: the kind of the transfers that this side offers
  ///   - kept: what came over other connections, and is kept of this one when it is over
  init(outgoing: TransferKind, options: TransportOptions, kept: KeptObjects) {
    self.outgoing = outgoing
    self.kept = kept
    settings = options.transfers
    let minor = options.limits.minor
    // A worker writes first, and in its own version; a coordinator in that of whom it has heard.
    conversation = Conversation(minor: minor, assumed: outgoing == .result ? minor : 0)
    sender = TransferSender(kind: outgoing, settings: settings)
    receiver = TransferReceiver(
      kind: outgoing == .result ? .parameters : .result, settings: settings, kept: kept)
  }

  var isIdle: Bool { sender.isIdle && receiver.isEmpty }

  /// Notes what a message says of itself.
  ///
  /// - Throws: `ProtocolError` if it is not the next one, whatever it says.
  mutating func admit(_ envelope: Envelope) throws(ProtocolError) { try conversation.take(envelope) }

  /// What `encode` gave is on its way.
  mutating func hasSent() { conversation.hasSent() }

  /// The message taken apart, if it has to go through the sender: it is large, or keeps its order behind others.
  ///
  /// - Throws: `TransportError` of kind `message` if it is over the limits.
  func waits(for message: Message, _ options: TransportOptions) throws(TransportError) -> PreparedMessage? {
    guard message.keepsOrder || sender.holds(whatIsRevokedBy: message) else { return nil }
    let prepared = PreparedMessage(message)
    let isLarge = sender.isLarge(prepared)
    // Nothing depends on the order of results: one that is small does not wait for others to be let come.
    if case .result = message, !isLarge { return nil }
    guard !sender.isIdle || isLarge else { return nil }
    do throws(ProtocolError) { try prepared.check(options.limits) } catch {
      throw TransportError(.message, error.reason)
    }
    return prepared
  }

  /// The next message to the peer, in frames.
  func encode(
    _ message: PreparedMessage, _ address: Address, _ limits: WireLimits
  ) throws(TransportError) -> EncodedMessage {
    let envelope = conversation.envelope(
      of: message.message.type, work: address.work, session: address.session,
      correlation: address.correlation)
    do throws(ProtocolError) {
      return try EncodedMessage(message, envelope: envelope, limits: limits)
    } catch {
      throw TransportError(.message, error.reason)
    }
  }

  /// Takes a message of a transfer.
  ///
  /// - Throws: `ProtocolError` if it was not agreed upon; the peer counts as lost then.
  mutating func take(
    _ message: TransferMessage, _ envelope: Envelope, now: Double, judge: TransferReceiver.Judge?
  ) throws(ProtocolError) -> TransferReceiver.Outcome {
    switch message.content {
    case .offer(let offer) where message.kind != outgoing:
      return try receiver.receive(offer, envelope, now: now, judge: judge)
    case .chunk(let chunk) where message.kind != outgoing: return try receiver.receive(chunk, now: now)
    case .credit(let credit) where message.kind == outgoing:
      try sender.receive(credit, now: now)
      return TransferReceiver.Outcome()
    case .acknowledgement(let ack) where message.kind == outgoing:
      guard let answer = try sender.receive(ack, now: now) else { return TransferReceiver.Outcome() }
      var envelope = envelope
      envelope.type = answer.type
      return TransferReceiver.Outcome(completed: (envelope, answer))
    default: throw ProtocolError(.transfer, "\(message.type.name) does not come from this side")
    }
  }

  /// Lets a result come that is held, or refuses one.
  ///
  /// - Returns: what is to be said to the peer, and what its offer came with; nil if there is no such offer.
  mutating func decide(
    attempt: Int, of work: RunTerm, _ verdict: OfferVerdict, now: Double
  ) -> (answers: [TransferMessage], offered: Envelope)? {
    switch verdict {
    case .take: receiver.release(attempt: attempt, of: work, now: now)
    case .refuse(let outcome): receiver.refuse(attempt: attempt, of: work, outcome, now: now)
    case .hold: nil
    }
  }

  /// What is to be said to a peer whose offers wait, with what these came with.
  mutating func words(now: Double) -> [(TransferMessage, Envelope)] { receiver.words(now: now) }

  /// Forgets all that is under way, but for what may be of use when it is offered again.
  mutating func dropTransfers(now: Double) {
    receiver.salvage(now: now)
    sender = TransferSender(kind: outgoing, settings: settings)
    receiver = TransferReceiver(
      kind: outgoing == .result ? .parameters : .result, settings: settings, kept: kept)
  }

  /// Keeps what has come and is not whole, and takes no more of it.
  mutating func dropIncoming(now: Double) { receiver.salvage(now: now) }

  /// Why the peer counts as lost.
  func stall(now: Double) -> ProtocolError? { sender.stall(now: now) ?? receiver.stall(now: now) }

  /// Bytes of a message that is not whole yet have moved, in either direction: nothing is stalled.
  mutating func noteMovement(now: Double) {
    sender.noteMovement(now: now)
    receiver.noteMovement(now: now)
  }

  /// Time in which this process itself stood still is nobody's fault.
  mutating func excuse(_ seconds: Double) {
    sender.excuse(seconds)
    receiver.excuse(seconds)
  }

  func transfers(now: Double) -> [TransferStatus] {
    [sender.status(now: now), receiver.status(now: now)].compactMap(\.self)
  }
}

extension Address {
  /// That of an answer.
  init(answering envelope: Envelope) {
    self.init(work: envelope.work, session: envelope.session, correlation: envelope.sequence)
  }
}

/// Seconds on the monotonic clock.
func monotonicSeconds() -> Double {
  var time = timespec()
  clock_gettime(CLOCK_MONOTONIC, &time)
  return Double(time.tv_sec) + Double(time.tv_nsec) / 1e9
}
