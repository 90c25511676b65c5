import Digests
import WireProtocol

/// What becomes of a result that is offered.
public enum OfferVerdict: Sendable, Equatable {
  /// It may come, in its turn.
  case take
  /// Whether it may is not decided yet: it waits until it is released or refused.
  case hold
  /// It is not wanted, for this reason.
  case refuse(ResultOutcome)
}

/// The transfers that come in over one connection. Pure: it takes what the peer sends, and says what to answer and
/// which message is complete. Every limit is checked at the offer; memory grows only with bytes that have come.
struct TransferReceiver: Sendable {
  /// What a message of the peer's has led to.
  struct Outcome: Sendable {
    var answers: [TransferMessage] = []
    /// A message that is complete, every digest checked.
    var completed: (envelope: Envelope, message: Message)?
  }

  /// Judges a result before its bytes are sent.
  typealias Judge = (Envelope, ResultMessage) -> OfferVerdict

  private struct Open: Sendable {
    let offer: TransferOffer
    let envelope: Envelope
    let total: Int
    /// The attempt whose result it is; nil if it is something else.
    let attempt: Int?
    /// Whether it gets no credit before it is released.
    var isHeld: Bool
    var objects: [WireObject] = []
    /// The object that is coming in, and its digest.
    var bytes = ArrivingBytes(byteCount: 0)
    var digest: ArrivingDigest?
    /// Bytes that are here: of them `resumed` were before it was offered.
    var received = 0
    var resumed = 0
    /// Bytes that the peer may send in all.
    var granted = 0

    /// Whether it is the result of this attempt: every run counts its own.
    func isOf(_ work: RunTerm, _ attempt: Int) -> Bool { self.attempt == attempt && envelope.work == work }

    /// The declaration of the object that is coming in.
    var current: ObjectDeclaration? {
      offer.objects.indices.contains(objects.count) ? offer.objects[objects.count] : nil
    }
  }

  private static let digestOfNothing = Digest.sha256("")

  private let kind: TransferKind
  private let settings: TransferSettings
  private let kept: KeptObjects
  private var open: [Open] = []
  private var highest = 0
  /// How many numbers the peer has yet to leave out, one for each transfer that was given up.
  private var gapsDue = 0
  /// When something last came that was asked for, and when the peer was last told that an offer of its waits.
  private var lastProgress = 0.0
  private var lastWord = 0.0

  init(kind: TransferKind, settings: TransferSettings, kept: KeptObjects) {
    self.kind = kind
    self.settings = settings
    self.kept = kept
  }

  /// Whether nothing is awaited: what is held is not.
  var isIdle: Bool { open.allSatisfy(\.isHeld) }
  var isEmpty: Bool { open.isEmpty }

  /// - Throws: `ProtocolError` if the number is not new, or too many are open.
  mutating func receive(
    _ offer: TransferOffer, _ envelope: Envelope, now: Double, judge: Judge?
  ) throws(ProtocolError) -> Outcome {
    guard offer.transfer > highest else {
      throw ProtocolError(.transfer, "transfer \(offer.transfer) was offered after \(highest)")
    }
    guard open.count < settings.openTransfers else {
      throw ProtocolError(.limit, "more than \(settings.openTransfers) transfers at once")
    }
    gapsDue -= min(gapsDue, offer.transfer - highest - 1)
    highest = offer.transfer
    var outcome = Outcome()
    // Offered before the peer heard of the damage: it is offered again, in its turn.
    if gapsDue > 0 { return outcome }
    let result = try offer.announcedResult()
    var isHeld = false
    if let judge, let result {
      switch judge(envelope, result) {
      case .refuse(let verdict):
        outcome.answers.append(
          acknowledge(offer.transfer, .refused(ResultAck(attempt: result.attempt, outcome: verdict))))
        return outcome
      // Of one without bytes there is nothing to wait for.
      case .hold: isHeld = offer.byteCount > 0
      case .take: break
      }
    }
    if isIdle { lastProgress = now }
    if !open.contains(where: \.isHeld) { lastWord = now }
    open.append(
      Open(
        offer: offer, envelope: envelope, total: offer.byteCount, attempt: result?.attempt, isHeld: isHeld))
    resume(at: open.count - 1, &outcome, now: now)
    try completeObjects(at: open.count - 1, &outcome)
    outcome.answers += credits()
    return outcome
  }

  /// Takes what is here already of the objects that are offered, up to the first that is not whole.
  private func beginning(of offer: TransferOffer, now: Double) -> (
    objects: [WireObject], rest: KeptObjects.Kept?
  ) {
    var objects: [WireObject] = []
    for object in offer.objects {
      if object.byteCount == 0, object.sha256 == Self.digestOfNothing {
        objects.append(WireObject(checked: object, bytes: []))
        continue
      }
      guard let here = kept.take(object, now: now) else { return (objects, nil) }
      guard here.bytes.count == object.byteCount else { return (objects, here) }
      objects.append(WireObject(checked: object, bytes: here.bytes, isFinite: here.isFinite))
    }
    return (objects, nil)
  }

  private mutating func resume(at place: Int, _ outcome: inout Outcome, now: Double) {
    let (objects, rest) = beginning(of: open[place].offer, now: now)
    open[place].objects = objects
    open[place].resumed = objects.reduce(0) { $0 + $1.byteCount } + (rest?.bytes.count ?? 0)
    if let rest, let current = open[place].current {
      open[place].bytes = ArrivingBytes(byteCount: current.byteCount)
      rest.bytes.withUnsafeBytes { open[place].bytes.append($0) }
      let digest = ArrivingDigest(of: current)
      for start in stride(from: 0, to: rest.bytes.count, by: WireLimits.chunkBytes) {
        digest.update(
          WireSlice(Array(rest.bytes[start..<min(start + WireLimits.chunkBytes, rest.bytes.count)])))
      }
      open[place].digest = digest
    }
    guard open[place].resumed > 0 else { return }
    (open[place].received, open[place].granted) = (open[place].resumed, open[place].resumed)
    let resumed = open[place].resumed
    outcome.answers.append(
      TransferMessage(
        kind,
        .credit(
          TransferCredit(
            transfer: open[place].offer.transfer, bytes: resumed, received: resumed, from: resumed))))
  }

  /// Keeps what has come of all transfers, as their connection is over. What is held or damaged comes with it.
  mutating func salvage(now: Double) {
    for one in open { salvage(one, now: now) }
    open = []
  }

  private func salvage(_ one: Open, now: Double) {
    for (object, declaration) in zip(one.objects, one.offer.objects) where object.byteCount > 0 {
      let bytes = object.withUnsafeBytes { Array($0) }
      kept.keep(
        KeptObjects.Kept(
          bytes: bytes, digest: object.sha256, isFinite: object.hasFiniteFloats, since: now), of: declaration)
    }
    guard let current = one.current, let (count, digest) = one.digest?.verifiedSegments(), count > 0 else {
      return
    }
    kept.keep(
      KeptObjects.Kept(bytes: one.bytes.prefix(count), digest: digest, isFinite: nil, since: now),
      of: current)
  }

  /// - Throws: `ProtocolError` if it is a chunk that was not offered, not its turn, or without credit.
  mutating func receive(_ chunk: TransferChunk, now: Double) throws(ProtocolError) -> Outcome {
    guard let place = open.firstIndex(where: { $0.offer.transfer == chunk.transfer }) else {
      guard chunk.transfer <= highest else {
        throw ProtocolError(.transfer, "a chunk of transfer \(chunk.transfer), which was not offered")
      }
      // What was on its way when the transfer was given up.
      return Outcome()
    }
    lastProgress = now
    var outcome = Outcome()
    try check(chunk, at: place)
    guard chunk.isIntact else {
      drop(from: place, &outcome, now: now)
      return outcome
    }
    if chunk.offset == 0, let current = open[place].current {
      open[place].bytes = ArrivingBytes(byteCount: current.byteCount)
      open[place].digest = ArrivingDigest(of: current)
    }
    chunk.payload.withUnsafeBytes { open[place].bytes.append($0) }
    open[place].digest?.update(chunk.payload)
    open[place].received += chunk.payload.byteCount
    try completeObjects(at: place, &outcome)
    outcome.answers += credits()
    return outcome
  }

  /// Lets a result that is held come.
  ///
  /// - Returns: the credit, and what the offer came with; nil if there is no such offer.
  mutating func release(attempt: Int, of work: RunTerm, now: Double) -> (
    answers: [TransferMessage], offered: Envelope
  )? {
    guard let place = open.firstIndex(where: { $0.isOf(work, attempt) && $0.isHeld }) else { return nil }
    if isIdle { lastProgress = now }
    open[place].isHeld = false
    return (credits(), open[place].envelope)
  }

  /// Refuses a result that was offered, however much of it has come.
  mutating func refuse(
    attempt: Int, of work: RunTerm, _ verdict: ResultOutcome, now: Double
  ) -> (answers: [TransferMessage], offered: Envelope)? {
    guard let place = open.firstIndex(where: { $0.isOf(work, attempt) }) else { return nil }
    let one = open.remove(at: place)
    lastProgress = now
    let answer = acknowledge(
      one.offer.transfer, .refused(ResultAck(attempt: attempt, outcome: verdict)))
    return ([answer] + credits(), one.envelope)
  }

  /// Says again and again that an offer waits, so that its sender does not take it for forgotten.
  mutating func words(now: Double) -> [(TransferMessage, Envelope)] {
    guard now - lastWord >= settings.stallSeconds / 3, open.contains(where: \.isHeld) else { return [] }
    lastWord = now
    return open.filter(\.isHeld).map {
      let credit = TransferCredit(
        transfer: $0.offer.transfer, bytes: $0.granted, received: $0.received)
      return (TransferMessage(kind, .credit(credit)), $0.envelope)
    }
  }

  private func check(_ chunk: TransferChunk, at place: Int) throws(ProtocolError) {
    let one = open[place]
    guard let current = one.current, chunk.object == one.objects.count, chunk.offset == one.bytes.count else {
      throw ProtocolError(
        .chunk,
        "byte \(chunk.offset) of object \(chunk.object) of transfer \(chunk.transfer) came out of its turn")
    }
    let length = min(WireLimits.chunkBytes, current.byteCount - chunk.offset)
    guard chunk.payload.byteCount == length else {
      throw ProtocolError(
        .chunk, "a chunk of \"\(current.name)\" has \(chunk.payload.byteCount) bytes, not \(length)")
    }
    guard one.received + length <= one.granted else {
      throw ProtocolError(.transfer, "transfer \(chunk.transfer) was sent without credit")
    }
  }

  /// Takes every object whose bytes are all there, and the message if that was the last.
  private mutating func completeObjects(at place: Int, _ outcome: inout Outcome) throws(ProtocolError) {
    while let current = open[place].current, open[place].bytes.count == current.byteCount {
      let digest = open[place].digest ?? ArrivingDigest(of: current)
      let (sha256, isFinite) = digest.finish()
      guard sha256 == current.sha256 else { return drop(from: place, &outcome, now: lastProgress) }
      open[place].objects.append(open[place].bytes.object(current, isFinite: isFinite))
      open[place].bytes = ArrivingBytes(byteCount: 0)
      open[place].digest = nil
    }
    guard open[place].current == nil else { return }
    let one = open.remove(at: place)
    var envelope = one.envelope
    envelope.type = one.offer.of
    outcome.answers.append(acknowledge(one.offer.transfer, .received))
    outcome.completed = (envelope, try one.offer.message(objects: one.objects))
  }

  /// Gives up a damaged transfer, and those behind it: the peer sends all of them again, in order.
  private mutating func drop(from place: Int, _ outcome: inout Outcome, now: Double) {
    outcome.answers.append(acknowledge(open[place].offer.transfer, .corrupt))
    gapsDue += 1
    for one in open[place...] { salvage(one, now: now) }
    open.removeSubrange(place...)
  }

  /// New credit: no more than a window is under way, and none is given in small change. What was offered first is
  /// given all that it needs before the next is given any, so that there is always one that goes on.
  private mutating func credits() -> [TransferMessage] {
    var answers: [TransferMessage] = []
    var budget = settings.window - open.reduce(0) { $0 + $1.granted - $1.received }
    for place in open.indices where budget > 0 && !open[place].isHeld {
      let rest = open[place].total - open[place].granted
      let more = min(rest, budget)
      if more == 0 { continue }
      guard more == rest || more >= settings.window / 2 else { break }
      open[place].granted += more
      budget -= more
      answers.append(
        TransferMessage(
          kind,
          .credit(
            TransferCredit(
              transfer: open[place].offer.transfer, bytes: open[place].granted,
              received: open[place].received))))
    }
    return answers
  }

  private func acknowledge(_ number: Int, _ outcome: TransferAck.Outcome) -> TransferMessage {
    TransferMessage(kind, .acknowledgement(TransferAck(transfer: number, outcome: outcome)))
  }

  /// Why the peer counts as lost, if nothing has come for too long.
  func stall(now: Double) -> ProtocolError? {
    guard !isIdle, now - lastProgress > settings.stallSeconds, let status = status(now: now) else {
      return nil
    }
    return ProtocolError(.stalled, "the peer does not send what it offered: \(status.description)")
  }

  /// A part of a chunk, or of what is before it, has moved.
  mutating func noteMovement(now: Double) { lastProgress = now }

  /// Moves the limit of a stall, as after a standstill of this program itself.
  mutating func excuse(_ seconds: Double) { lastProgress += seconds }

  func status(now: Double) -> TransferStatus? {
    guard let first = open.first(where: { !$0.isHeld }) ?? open.first else { return nil }
    return TransferStatus(
      message: first.offer.of.name, isOutgoing: false, bytes: first.received, totalBytes: first.total,
      idleSeconds: max(0, now - lastProgress), waitingMessages: open.count - 1)
  }
}
