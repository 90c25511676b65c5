import WireProtocol

/// A worker that is given the base model: what it has asked for, and what is still on its way out.
package struct ModelReader {
  /// Something to be answered: a part of a file that is no longer than a chunk, or the offer.
  package enum Item: Sendable {
    case offer
    case chunk(file: Int, offset: Int, byteCount: Int)
  }

  private struct Sent {
    weak var bytes: SharedBytes?
    let count: Int
  }

  let session: SessionID
  private(set) var askedBytes = 0
  private var pieces: [ModelCredit.Piece?] = []
  private var sent: [Sent] = []

  init(session: SessionID) { self.session = session }

  /// What it takes from the limit until it has been answered: a small piece is as much trouble as 4 KiB.
  private static func cost(_ piece: ModelCredit.Piece?) -> Int { max(4096, piece?.byteCount ?? 0) }

  /// - Returns: whether that is within the limit.
  mutating func ask(_ piece: ModelCredit.Piece?, limit: Int) -> Bool {
    guard askedBytes + Self.cost(piece) <= limit else { return false }
    askedBytes += Self.cost(piece)
    pieces.append(piece)
    return true
  }

  var isWaiting: Bool { !pieces.isEmpty }

  /// What is to be answered next, which is then no longer asked for.
  mutating func take() -> Item? {
    guard let first = pieces.first else { return nil }
    guard var piece = first else {
      pieces.removeFirst()
      askedBytes -= Self.cost(nil)
      return .offer
    }
    let count = min(piece.byteCount, WireLimits.chunkBytes)
    let item = Item.chunk(file: piece.file, offset: piece.offset, byteCount: count)
    askedBytes -= Self.cost(piece)
    piece.offset += count
    piece.byteCount -= count
    if piece.byteCount > 0 {
      pieces[0] = piece
      askedBytes += Self.cost(piece)
    } else {
      pieces.removeFirst()
    }
    return item
  }

  mutating func hasSent(_ bytes: SharedBytes) { sent.append(Sent(bytes: bytes, count: bytes.buffer.count)) }

  /// Bytes that the transport still holds: it lets go of them when they have gone out.
  mutating func heldBytes() -> Int {
    sent.removeAll { $0.bytes == nil }
    return sent.reduce(0) { $0 + $1.count }
  }
}
