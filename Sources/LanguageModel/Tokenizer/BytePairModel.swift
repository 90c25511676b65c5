/// Byte-pair encoding over bytes or characters: which tokens there are, and which pairs of them merge, in which order.
struct BytePairModel: Sendable {
  struct Merge {
    /// The line of the merge in the list; the lowest goes first.
    var rank: UInt32
    /// The token that the two become.
    var token: Int32
  }

  /// The id of each single byte; −1 if it has none. Empty for a model over characters.
  private let byteTokens: [Int32]
  private let unknown: Unknown
  private let merges: MergeTable
  private let tokens: ByteTable
  /// Whether a piece that is a token as a whole is taken as that token, whatever the merges would make of it.
  private let ignoresMerges: Bool

  /// - Parameters:
  ///   - tokens: the bytes of every token of the vocabulary that is written in the byte-level alphabet.
  ///   - merges: pairs of ids and the id of what they become, in the order of the list.
  init(tokens: ByteTable, merges: [(left: Int32, right: Int32, token: Int32)], ignoresMerges: Bool) {
    self.tokens = tokens
    self.ignoresMerges = ignoresMerges
    byteTokens = (UInt8.min...UInt8.max).map { tokens[[$0]] ?? -1 }
    unknown = Unknown()
    self.merges = MergeTable(merges)
  }

  /// What becomes of a character that is no token.
  struct Unknown: Sendable {
    /// The tokens of its bytes, if all of them are there (−1: not); nil: no falling back to bytes.
    var bytes: [Int32]?
    /// Else this one; nil: nothing.
    var token: Int32?
    /// One for several such characters that follow each other.
    var fuses = false
  }

  /// A model over characters, as SentencePiece has it.
  ///
  /// - Parameter characters: the text of every token of the vocabulary.
  init(
    characters: ByteTable, unknown: Unknown, merges: [(left: Int32, right: Int32, token: Int32)],
    ignoresMerges: Bool
  ) {
    tokens = characters
    self.ignoresMerges = ignoresMerges
    byteTokens = []
    self.unknown = unknown
    self.merges = MergeTable(merges)
  }

  /// The tokens that merging begins with.
  private func symbols(_ piece: UnsafeBufferPointer<UInt8>) -> [Int32] {
    if !byteTokens.isEmpty { return piece.lazy.map { byteTokens[Int($0)] }.filter { $0 >= 0 } }
    var symbols: [Int32] = []
    // An unknown token is only put down before the next character that is known, after bytes that came in between; so
    // does the reference.
    var waiting: Int32?
    var place = 0
    while place < piece.count {
      var end = place + 1
      while end < piece.count, piece[end] & 0xC0 == 0x80 { end += 1 }
      let character = UnsafeBufferPointer(rebasing: piece[place..<end])
      place = end
      if let token = tokens[character] {
        if let unknown = waiting { symbols.append(unknown) }
        waiting = nil
        symbols.append(token)
      } else if let bytes = unknown.bytes, character.allSatisfy({ bytes[Int($0)] >= 0 }) {
        symbols += character.map { bytes[Int($0)] }
      } else if let token = unknown.token {
        if let before = waiting, !unknown.fuses { symbols.append(before) }
        waiting = token
      }
    }
    if let waiting { symbols.append(waiting) }
    return symbols
  }

  /// Appends the ids of one piece of pre-tokenized text. A byte that no token stands for is passed over, as the
  /// reference does when there is no unknown token.
  func encode(_ piece: UnsafeBufferPointer<UInt8>, with workspace: BytePairWorkspace, into ids: inout [Int32])
  {
    if piece.isEmpty { return }
    if ignoresMerges, let token = tokens[piece] {
      ids.append(token)
      return
    }
    if workspace.appendRemembered(piece, to: &ids) { return }
    let first = ids.count
    if piece.count <= 48 {
      workspace.load(symbols(piece))
      mergeByScanning(workspace)
      ids.append(contentsOf: workspace.symbols)
    } else {
      mergeByQueue(symbols(piece), into: &ids)
    }
    workspace.remember(piece, ids[first...])
  }

  /// The lowest rank first, the leftmost of equals; each round looks at every pair, which is the fastest way for
  /// the short pieces that text consists of.
  private func mergeByScanning(_ workspace: BytePairWorkspace) {
    guard workspace.symbols.count > 1 else { return }
    workspace.ranks.removeAll(keepingCapacity: true)
    for i in 0..<(workspace.symbols.count - 1) {
      workspace.ranks.append(merges.rank(workspace.symbols[i], workspace.symbols[i + 1]))
    }
    while true {
      var best = MergeTable.none
      var place = 0
      for (i, rank) in workspace.ranks.enumerated() where rank < best {
        best = rank
        place = i
      }
      guard best != MergeTable.none else { return }
      workspace.symbols[place] = merges.tokens[Int(best)]
      workspace.symbols.remove(at: place + 1)
      workspace.ranks.remove(at: place)
      if place < workspace.ranks.count {
        workspace.ranks[place] = merges.rank(workspace.symbols[place], workspace.symbols[place + 1])
      }
      if place > 0 {
        workspace.ranks[place - 1] = merges.rank(workspace.symbols[place - 1], workspace.symbols[place])
      }
    }
  }

  /// The same result in n·log n for pieces of any length: a linked list of symbols and a queue of their pairs.
  private func mergeByQueue(_ input: [Int32], into ids: inout [Int32]) {
    var symbols = input
    let count = symbols.count
    var next = (0..<count).map { $0 + 1 }
    var previous = (0..<count).map { $0 - 1 }
    var queue = MinimumQueue()
    func rank(at i: Int) -> UInt32 {
      next[i] < count ? merges.rank(symbols[i], symbols[next[i]]) : MergeTable.none
    }
    func push(_ i: Int, to queue: inout MinimumQueue) {
      let rank = rank(at: i)
      if rank != MergeTable.none { queue.push(UInt64(rank) << 32 | UInt64(i)) }
    }
    for i in 0..<count { push(i, to: &queue) }
    while let top = queue.pop() {
      let place = Int(top & 0xFFFF_FFFF)
      // The pair may be gone, or another by now.
      guard symbols[place] >= 0, rank(at: place) == UInt32(top >> 32) else { continue }
      symbols[place] = merges.tokens[Int(top >> 32)]
      let gone = next[place]
      symbols[gone] = -1
      next[place] = next[gone]
      if next[gone] < count { previous[next[gone]] = place }
      push(place, to: &queue)
      if previous[place] >= 0 { push(previous[place], to: &queue) }
    }
    for symbol in symbols where symbol >= 0 { ids.append(symbol) }
  }
}

/// The merges by their pair of tokens.
struct MergeTable: Sendable {
  /// The rank of a pair that does not merge.
  static let none = UInt32.max
  private static let emptySlot = UInt64.max

  /// The token that each rank makes.
  let tokens: [Int32]
  private var pairs: [UInt64]
  private var ranks: [UInt32]
  private let mask: Int

  /// A pair that is listed twice has the rank of its last line, as in the reference.
  init(_ merges: [(left: Int32, right: Int32, token: Int32)]) {
    tokens = merges.map(\.token)
    var slotCount = 16
    while slotCount < merges.count * 2 { slotCount *= 2 }
    mask = slotCount - 1
    pairs = Array(repeating: Self.emptySlot, count: slotCount)
    ranks = Array(repeating: Self.none, count: slotCount)
    for (rank, merge) in merges.enumerated() {
      let slot = slot(of: Self.pair(merge.left, merge.right))
      pairs[slot] = Self.pair(merge.left, merge.right)
      ranks[slot] = UInt32(rank)
    }
  }

  func rank(_ left: Int32, _ right: Int32) -> UInt32 { ranks[slot(of: Self.pair(left, right))] }

  private static func pair(_ left: Int32, _ right: Int32) -> UInt64 {
    UInt64(UInt32(bitPattern: left)) << 32 | UInt64(UInt32(bitPattern: right))
  }

  /// Where the pair stands, or the empty slot where it would.
  private func slot(of pair: UInt64) -> Int {
    var slot = Int(truncatingIfNeeded: (pair &* 0x9E37_79B9_7F4A_7C15) >> 32) & mask
    while pairs[slot] != pair, pairs[slot] != Self.emptySlot { slot = (slot + 1) & mask }
    return slot
  }
}

/// A binary heap that gives its smallest number first.
struct MinimumQueue {
  private var heap: [UInt64] = []

  mutating func push(_ value: UInt64) {
    heap.append(value)
    var child = heap.count - 1
    while child > 0, heap[child] < heap[(child - 1) / 2] {
      heap.swapAt(child, (child - 1) / 2)
      child = (child - 1) / 2
    }
  }

  mutating func pop() -> UInt64? {
    guard let top = heap.first, let last = heap.popLast() else { return nil }
    if heap.isEmpty { return top }
    heap[0] = last
    var parent = 0
    while true {
      var smallest = parent
      for child in [2 * parent + 1, 2 * parent + 2] where child < heap.count && heap[child] < heap[smallest] {
        smallest = child
      }
      if smallest == parent { return top }
      heap.swapAt(parent, smallest)
      parent = smallest
    }
  }
}
