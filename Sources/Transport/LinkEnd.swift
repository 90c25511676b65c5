import WireProtocol

/// One end of a connection without its socket, for whoever carries messages from end to end by other means, as the
/// simulation does. It does with a link what `Router` and `Dealer` do. Times are seconds on a monotonic clock.
package struct LinkEnd: Sendable {
  /// Takes the frames of a message; false if there is no room for it.
  package typealias Put = ([[UInt8]]) -> Bool

  private var link: Link
  private let options: TransportOptions

  private init(_ link: Link, _ options: TransportOptions) {
    self.link = link
    self.options = options
  }

  package static func coordinator(
    _ options: TransportOptions, kept: KeptObjects = KeptObjects()
  ) -> LinkEnd {
    LinkEnd(
      Link(outgoing: .parameters, options: options, kept: kept), options)
  }

  package static func worker(_ options: TransportOptions, kept: KeptObjects = KeptObjects()) -> LinkEnd {
    LinkEnd(
      Link(outgoing: .result, options: options, kept: kept), options)
  }

  /// The connection is over.
  package mutating func end(now: Double) { link.dropTransfers(now: now) }

  /// Whether nothing waits to be sent.
  package var hasSentAll: Bool { link.sender.isIdle }

  /// Sends a message, or what can be sent of it now.
  ///
  /// - Throws: `TransportError`: `congested` if there is no room, `message` if it is over the limits.
  package mutating func send(
    _ message: Message, of work: RunTerm, session: SessionID, now: Double, put: Put
  ) throws(TransportError) {
    let address = Address(work: work, session: session, correlation: 0)
    guard let prepared = try link.waits(for: message, options) else {
      return try transmit(PreparedMessage(message), address, put)
    }
    try link.sender.add(prepared, address, now: now)
    try pump(now: now, put: put)
  }

  /// Sends what is due of transfers, and what waits for them.
  package mutating func pump(now: Double, put: Put) throws(TransportError) {
    while let next = link.sender.next() {
      do throws(TransportError) { try transmit(next.message, next.address, put) } catch {
        if error.kind == .congested { return }
        throw error
      }
      link.sender.sent(now: now)
    }
    for (word, offered) in link.words(now: now) {
      do throws(TransportError) {
        try transmit(PreparedMessage(.transfer(word)), Address(answering: offered), put)
      } catch { if error.kind != .congested { throw error } }
    }
  }

  /// As the router's `decide`.
  package mutating func decide(
    attempt: Int, of work: RunTerm, _ verdict: OfferVerdict, now: Double, put: Put
  ) throws(TransportError) {
    guard let (answers, offered) = link.decide(attempt: attempt, of: work, verdict, now: now) else { return }
    for answer in answers {
      try transmit(PreparedMessage(.transfer(answer)), Address(answering: offered), put)
    }
  }

  private mutating func transmit(
    _ message: PreparedMessage, _ address: Address, _ put: Put
  ) throws(TransportError) {
    guard put(try link.encode(message, address, options.limits).frames) else {
      throw TransportError(.congested, "there is no room for \(message.message.type.name)")
    }
    link.hasSent()
  }

  /// Takes a message that came, and answers what only the link knows of.
  ///
  /// - Parameter judge: as the router's `resultJudge`
  /// - Returns: what is for the program above: the message, or the one that a transfer has brought in full
  /// - Throws: `ProtocolError` if the peer is to count as lost
  package mutating func receive(
    _ envelope: Envelope, _ message: Message, now: Double,
    judge: ((Envelope, ResultMessage) -> OfferVerdict)? = nil, put: Put
  ) throws(ProtocolError) -> (envelope: Envelope, message: Message) {
    do throws(ProtocolError) {
      try link.admit(envelope)
      guard case .transfer(let transfer) = message else { return (envelope, message) }
      let outcome = try link.take(transfer, envelope, now: now, judge: judge)
      for answer in outcome.answers {
        try orLost { end throws(TransportError) in
          try end.transmit(PreparedMessage(.transfer(answer)), Address(answering: envelope), put)
        }
      }
      try orLost { end throws(TransportError) in try end.pump(now: now, put: put) }
      return outcome.completed ?? (envelope, message)
    } catch {
      if error.kind != .sequence { link.dropTransfers(now: now) }
      throw error
    }
  }

  private mutating func orLost(
    _ work: (inout LinkEnd) throws(TransportError) -> Void
  ) throws(ProtocolError) {
    do throws(TransportError) { try work(&self) } catch {
      throw ProtocolError(.transfer, error.description)
    }
  }

  /// Why the peer counts as lost, if a transfer has not moved for too long.
  package func stall(now: Double) -> ProtocolError? { link.stall(now: now) }

  /// Time in which this end's process stood still is nobody's stall.
  package mutating func excuse(_ seconds: Double) { link.excuse(seconds) }
}
