/// What one encoding call works in, kept for the next: buffers, and the ids of pieces seen before.
final class BytePairWorkspace {
  var symbols: [Int32] = []
  var ranks: [UInt32] = []

  private static let longestPiece = 64
  private static let mostKeyBytes = 4 << 20
  /// For each remembered piece, the index of its span.
  private var known = ByteTable(capacity: 4096)
  private var spans: [(start: Int, count: Int)] = []
  private var rememberedIDs: [Int32] = []

  func load(_ tokens: some Sequence<Int32>) {
    symbols.removeAll(keepingCapacity: true)
    symbols.append(contentsOf: tokens)
  }

  func appendRemembered(_ piece: UnsafeBufferPointer<UInt8>, to ids: inout [Int32]) -> Bool {
    guard piece.count <= Self.longestPiece, let index = known[piece] else { return false }
    let span = spans[Int(index)]
    if span.count == 1 {
      ids.append(rememberedIDs[span.start])
    } else {
      ids.append(contentsOf: rememberedIDs[span.start..<(span.start + span.count)])
    }
    return true
  }

  func remember(_ piece: UnsafeBufferPointer<UInt8>, _ ids: ArraySlice<Int32>) {
    guard piece.count <= Self.longestPiece else { return }
    if known.keyBytes > Self.mostKeyBytes {
      known.removeAll()
      spans.removeAll(keepingCapacity: true)
      rememberedIDs.removeAll(keepingCapacity: true)
    }
    known.insert(piece, Int32(spans.count))
    spans.append((start: rememberedIDs.count, count: ids.count))
    rememberedIDs.append(contentsOf: ids)
  }
}
