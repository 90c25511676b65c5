import WireProtocol

/// The messages to one peer that keep their order, large ones among them: these are offered, and their bytes sent as
/// the peer gives credit for them. Pure: it is asked what is `next`, and told when that was `sent`.
struct TransferSender: Sendable {
  struct Outgoing: Sendable {
    let message: PreparedMessage
    let address: Address
  }

  private enum Step {
    case offer
    case chunk(Int)
    case whole
  }

  /// A transfer whose end has not been acknowledged.
  private struct Open: Sendable {
    let number: Int
    let item: Item
    let total: Int
    /// The next byte: its object, and its place in that.
    var object = 0
    var offset = 0
    var sent = 0
    /// Bytes that may be sent in all.
    var allowed = 0

    init(number: Int, item: Item) {
      self.number = number
      self.item = item
      total = item.message.objectBytes
      skipWhatIsSent()
    }

    var isSent: Bool { sent == total }

    /// The range of the next chunk in its object, once there is credit for all of it.
    var nextChunk: Range<Int>? {
      guard item.message.objects.indices.contains(object) else { return nil }
      let count = min(WireLimits.chunkBytes, item.message.objects[object].byteCount - offset)
      return sent + count <= allowed ? offset..<(offset + count) : nil
    }

    /// Goes on behind what the receiver has already: whole objects, and whole segments of the next one.
    ///
    /// - Returns: whether there is such a place.
    mutating func resume(from count: Int) -> Bool {
      guard sent == 0, offset == 0, count <= total else { return false }
      var rest = count
      for (number, one) in item.message.objects.enumerated() {
        if rest < one.byteCount {
          guard rest % WireLimits.segmentBytes == 0 else { return false }
          (object, offset, sent, rest) = (number, rest, count, 0)
          skipWhatIsSent()
          return true
        }
        rest -= one.byteCount
      }
      (object, offset, sent) = (item.message.objects.count, 0, count)
      return true
    }

    mutating func advance(by count: Int) {
      sent += count
      offset += count
      skipWhatIsSent()
    }

    /// Goes on to the next object that has bytes.
    private mutating func skipWhatIsSent() {
      while item.message.objects.indices.contains(object),
        offset >= item.message.objects[object].byteCount
      {
        object += 1
        offset = 0
      }
    }
  }

  private struct Item: Sendable {
    let message: PreparedMessage
    let address: Address
    let isLarge: Bool
    var tries = 0
  }

  private let kind: TransferKind
  private let settings: TransferSettings
  private var waiting: [Item] = []
  private var open: [Open] = []
  private var nextNumber = 1
  private var lastProgress = 0.0

  init(kind: TransferKind, settings: TransferSettings) {
    self.kind = kind
    self.settings = settings
  }

  /// Whether nothing waits, so that a message that keeps order may be sent directly.
  var isIdle: Bool { waiting.isEmpty && open.isEmpty }

  /// Whether a message revokes an assignment that waits here: it must not come before that.
  func holds(whatIsRevokedBy message: Message) -> Bool {
    guard case .cancel(let cancel) = message else { return false }
    return (waiting + open.map(\.item)).contains {
      if case .assign(let assign) = $0.message.message { assign.attempt == cancel.attempt } else { false }
    }
  }

  func isLarge(_ message: PreparedMessage) -> Bool {
    kind.carries(message.message.type)
      && message.objectBytes > min(settings.inlineBytes, WireLimits.payloadBytes)
  }

  /// Puts a message behind those that wait.
  ///
  /// - Parameter now: seconds on a monotonic clock, here and in every other call.
  /// - Throws: `TransportError` of kind `congested` if too many wait.
  mutating func add(_ message: PreparedMessage, _ address: Address, now: Double) throws(TransportError) {
    guard waiting.count < settings.waitingMessages else {
      throw TransportError(.congested, "\(waiting.count) messages already wait behind a transfer")
    }
    if isIdle { lastProgress = now }
    waiting.append(Item(message: message, address: address, isLarge: isLarge(message)))
  }

  /// What is to be sent now; nil if there is nothing, or the peer has to give credit first.
  func next() -> Outgoing? {
    switch step {
    case nil: return nil
    case .offer:
      return waiting.first.map { transfer(.offer($0.message.offer(transfer: nextNumber)), $0.address) }
    case .whole: return waiting.first.map { Outgoing(message: $0.message, address: $0.address) }
    case .chunk(let place):
      guard let range = open[place].nextChunk else { return nil }
      let one = open[place]
      let chunk = TransferChunk(
        transfer: one.number, object: one.object, offset: range.lowerBound,
        payload: one.item.message.objects[one.object].slice(range))
      return transfer(.chunk(chunk), one.item.address)
    }
  }

  private func transfer(_ content: TransferMessage.Content, _ address: Address) -> Outgoing {
    Outgoing(message: PreparedMessage(.transfer(TransferMessage(kind, content))), address: address)
  }

  private var step: Step? {
    if let first = waiting.first {
      if first.isLarge, open.count < settings.openTransfers { return .offer }
      if !first.isLarge, open.isEmpty { return .whole }
    }
    // The receiver gives credit in the order in which it wants them: parameters as they were offered, one after the
    // other, results in that of their sums.
    return open.firstIndex { $0.nextChunk != nil }.map { .chunk($0) }
  }

  /// What `next` gave has gone out.
  mutating func sent(now: Double) {
    switch step {
    case nil: break
    case .offer:
      var item = waiting.removeFirst()
      item.tries += 1
      open.append(Open(number: nextNumber, item: item))
      nextNumber += 1
    case .whole:
      waiting.removeFirst()
      lastProgress = now
    case .chunk(let place):
      if let range = open[place].nextChunk { open[place].advance(by: range.count) }
    }
  }

  /// - Throws: `ProtocolError` if the peer gives credit for what was never offered, or has more than was sent.
  mutating func receive(_ credit: TransferCredit, now: Double) throws(ProtocolError) {
    guard let place = try place(of: credit.transfer) else { return }
    if let from = credit.from, !open[place].resume(from: from) {
      throw ProtocolError(.transfer, "transfer \(credit.transfer) cannot go on from byte \(from)")
    }
    guard credit.received <= open[place].sent else {
      throw ProtocolError(
        .transfer,
        "\(credit.received) bytes of transfer \(credit.transfer) came, \(open[place].sent) were sent")
    }
    // Whatever the peer allows: no more than a window is under way.
    let allowed = min(credit.bytes, open[place].total, credit.received + settings.window)
    open[place].allowed = max(open[place].allowed, allowed)
    lastProgress = now
  }

  /// Returns the coordinator's answer to a result that it does not want.
  ///
  /// - Throws: `ProtocolError` if the peer has what was not sent, or was sent it too often in vain.
  mutating func receive(_ ack: TransferAck, now: Double) throws(ProtocolError) -> Message? {
    guard let place = try place(of: ack.transfer) else { return nil }
    lastProgress = now
    switch ack.outcome {
    case .received:
      guard open[place].isSent else {
        throw ProtocolError(.transfer, "transfer \(ack.transfer) is acknowledged before its end")
      }
      open.remove(at: place)
      return nil
    case .refused(let answer):
      open.remove(at: place)
      return .resultAck(answer)
    case .corrupt:
      let item = open[place].item
      guard item.tries < settings.tries else {
        throw ProtocolError(
          .digest, "\(item.message.message.type.name) has arrived damaged \(item.tries) times")
      }
      // The peer has dropped those behind it as well, so that their order stays. The number that is left out tells it
      // which offers were made after this.
      nextNumber += 1
      waiting.insert(contentsOf: open[place...].map(\.item), at: 0)
      open.removeSubrange(place...)
      return nil
    }
  }

  /// The place of an open transfer; nil if it is over.
  private func place(of number: Int) throws(ProtocolError) -> Int? {
    guard number < nextNumber else {
      throw ProtocolError(.transfer, "transfer \(number) was never offered")
    }
    return open.firstIndex { $0.number == number }
  }

  /// Why the peer counts as lost, if nothing has moved for too long.
  func stall(now: Double) -> ProtocolError? {
    guard !isIdle, now - lastProgress > settings.stallSeconds else { return nil }
    let what = status(now: now)?.description ?? "\(waiting.count) messages wait"
    return ProtocolError(.stalled, "the peer takes no more of what it is sent: \(what)")
  }

  /// A part of a chunk, or of what is before it, has moved.
  mutating func noteMovement(now: Double) { lastProgress = now }

  /// Moves the limit of a stall, as after a standstill of this program itself.
  mutating func excuse(_ seconds: Double) { lastProgress += seconds }

  func status(now: Double) -> TransferStatus? {
    guard let first = open.first else { return nil }
    return TransferStatus(
      message: first.item.message.message.type.name, isOutgoing: true, bytes: first.sent,
      totalBytes: first.total, idleSeconds: max(0, now - lastProgress),
      waitingMessages: open.count - 1 + waiting.count)
  }
}
