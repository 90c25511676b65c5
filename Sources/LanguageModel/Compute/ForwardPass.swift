import Tensors

/// What all layers of one forward pass share.
struct ForwardPass {
  let tape: Tape
  /// Sequence s has the tokens [offsets[s], offsets[s+1]).
  let offsets: [Int32]
  let places: TokenPlaces
  let tables: RotationTables
  /// Chance of dropping, and the key that stands for seed, step and micro-batch.
  let dropout: (probability: Float, key: UInt64)?
  /// Whether of each layer only its input is kept for the backward pass.
  let recomputesLayers: Bool
  /// Keys and values of earlier tokens, when generating.
  let cache: KeyValueCache?

  /// Packed sequences from their beginnings.
  init(
    tape: Tape, offsets: [Int32], tables: RotationTables, dropout: (probability: Float, key: UInt64)? = nil,
    recomputesLayers: Bool = false
  ) {
    var rows: [Int32] = []
    var positions: [Int32] = []
    for (row, (begin, end)) in zip(offsets, offsets.dropFirst()).enumerated() {
      rows += [Int32](repeating: Int32(row), count: Int(end - begin))
      positions += 0..<(end - begin)
    }
    self.tape = tape
    self.offsets = offsets
    self.tables = tables
    self.dropout = dropout
    self.recomputesLayers = recomputesLayers
    places = TokenPlaces(rows: rows, positions: positions)
    cache = nil
  }

  /// `count` tokens that follow those in the cache.
  init(tape: Tape, count: Int, following cache: KeyValueCache, tables: RotationTables) {
    self.tape = tape
    self.cache = cache
    self.tables = tables
    offsets = [0, Int32(count)]
    let first = Int32(cache.count)
    places = TokenPlaces(
      rows: [Int32](repeating: 0, count: count), positions: Array(first..<first + Int32(count)))
    dropout = nil
    recomputesLayers = false
  }

  func dropout(site: UInt32) -> Dropout? {
    dropout.map { Dropout(probability: $0.probability, key: $0.key, site: site, tokens: places) }
  }
}
