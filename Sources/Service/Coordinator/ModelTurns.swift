import WireProtocol

/// Workers that are given the base model, each in its turn: what they have asked for, and how much is on its way to them.
/// Decides who gets which chunk next; who has the files reads it and sends it.
package struct ModelTurns {
  package struct Limits {
    /// Bytes that one worker may have asked for and not been handed yet: twice what it asks for at once, as it asks
    /// again after damage.
    var askedBytes = 8 << 20
    /// Bytes that are on their way out to one worker, and to all.
    var workerBytes = 4 << 20
    var totalBytes = 256 << 20
  }

  package enum Next {
    /// Nothing is asked for.
    case nothing
    /// Nobody takes more for now.
    case later
    case item(ModelReader.Item, PeerID, SessionID)
  }

  private let limits: Limits
  private var readers: [PeerID: ModelReader] = [:]
  /// In the order in which they get their next chunk.
  private var turns: [PeerID] = []

  package init() { limits = Limits() }
  init(limits: Limits) { self.limits = limits }

  /// A worker asks for something.
  ///
  /// - Returns: whether that is within the limit of what it may ask for.
  package mutating func ask(_ piece: ModelCredit.Piece?, peer: PeerID, session: SessionID) -> Bool {
    var reader = readers[peer] ?? ModelReader(session: session)
    guard reader.ask(piece, limit: limits.askedBytes) else { return false }
    if readers.updateValue(reader, forKey: peer) == nil { turns.append(peer) }
    return true
  }

  /// A worker that has gone gets no more, and what is on its way to it holds nobody up.
  package mutating func forget(_ peer: PeerID) {
    readers[peer] = nil
    turns.removeAll { $0 == peer }
  }

  package mutating func next() -> Next {
    var held: [PeerID: Int] = [:]
    for peer in turns { held[peer] = readers[peer]?.heldBytes() }
    let hasRoom = held.values.reduce(0, +) < limits.totalBytes
    for (place, peer) in turns.enumerated() where hasRoom && held[peer, default: 0] < limits.workerBytes {
      guard let session = readers[peer]?.session, let item = readers[peer]?.take() else { continue }
      turns.append(turns.remove(at: place))
      return .item(item, peer, session)
    }
    return turns.contains { readers[$0]?.isWaiting == true } ? .later : .nothing
  }

  package mutating func hasSent(_ bytes: SharedBytes, to peer: PeerID) { readers[peer]?.hasSent(bytes) }
}
