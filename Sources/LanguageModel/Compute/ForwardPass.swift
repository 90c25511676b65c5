import Tensors

/// What all layers of one forward pass share.
struct ForwardPass {
  let tape: Tape
  /// Sequence s has the tokens [offsets[s], offsets[s+1]).
  let offsets: [Int32]
  let places: TokenPlaces
  let tables: RotationTables
  /// Where in `tables` each token's angles are.
  let rotations: [Int32]
  /// Chance of dropping, and the key that stands for seed, step and micro-batch.
  let dropout: (probability: Float, key: UInt64)?
  /// The same key for the heads of tasks, whose chances are their own; nil outside training.
  let headKey: UInt64?
  /// The domain of each token, −1 of none; empty where nothing depends on it.
  let tokenDomains: [Int32]
  /// Whether of each layer only its input is kept for the backward pass.
  let recomputesLayers: Bool
  /// Whether LoRA pairs count; without, the model is its base.
  let usesAdapters: Bool
  /// What the scales of LoRA pairs are multiplied by.
  let adapterScale: Double
  /// Keys and values of earlier tokens, when generating.
  let cache: (any AttentionCache)?
  /// Who notes what goes from layer to layer, if anybody.
  let trace: LayerTrace?
  /// Who keeps what enters a layer, if anybody.
  let kept: LayerInput?

  /// Packed sequences from their beginnings.
  init(
    tape: Tape, offsets: [Int32], rope: RoPETable, tokenDomains: [Int32] = [],
    dropout: (probability: Float, key: UInt64)? = nil,
    headKey: UInt64? = nil, recomputesLayers: Bool = false, usesAdapters: Bool = true,
    adapterScale: Double = 1,
    trace: LayerTrace? = nil, kept: LayerInput? = nil
  ) throws(TensorError) {
    let lengths = zip(offsets, offsets.dropFirst()).map { Int($1 - $0) }
    let (tables, starts) = try rope.tables(lengths: lengths)
    var rows: [Int32] = []
    var positions: [Int32] = []
    var rotations: [Int32] = []
    for (row, (length, start)) in zip(lengths, starts).enumerated() {
      rows += [Int32](repeating: Int32(row), count: length)
      positions += 0..<Int32(length)
      rotations += start..<(start + Int32(length))
    }
    self.tape = tape
    self.offsets = offsets
    self.tables = tables
    self.rotations = rotations
    self.dropout = dropout
    self.headKey = headKey
    self.recomputesLayers = recomputesLayers
    self.usesAdapters = usesAdapters
    self.adapterScale = adapterScale
    self.tokenDomains = tokenDomains
    self.trace = trace
    self.kept = kept
    places = TokenPlaces(rows: rows, positions: positions)
    cache = nil
  }

  /// `count` tokens that follow those in the cache.
  init(
    tape: Tape, count: Int, following cache: KeyValueCache, rope: RoPETable, tokenDomains: [Int32] = []
  ) throws(TensorError) {
    self.tokenDomains = tokenDomains
    self.tape = tape
    self.cache = cache
    offsets = [0, Int32(count)]
    let first = Int32(cache.count)
    let (tables, starts) = try rope.tables(lengths: [cache.count + count])
    self.tables = tables
    let start = (starts.first ?? 0) + first
    rotations = Array(start..<start + Int32(count))
    places = TokenPlaces(
      rows: [Int32](repeating: 0, count: count), positions: Array(first..<first + Int32(count)))
    dropout = nil
    headKey = nil
    recomputesLayers = false
    usesAdapters = true
    adapterScale = 1
    trace = nil
    kept = nil
  }

  /// The base model's pass over `count` tokens of each of some sequences, which have `length` tokens in the cache.
  init(
    tape: Tape, sequences: Int, count: Int, following cache: BatchCache, length: Int, rope: RoPETable
  ) throws(TensorError) {
    self.tape = tape
    tokenDomains = []
    self.cache = cache
    offsets = (0...sequences).map { Int32($0 * count) }
    let (tables, starts) = try rope.tables(lengths: [length + count])
    self.tables = tables
    let first = Int32(length)
    let start = (starts.first ?? 0) + first
    rotations = (0..<sequences).flatMap { _ in start..<start + Int32(count) }
    places = TokenPlaces(
      rows: (0..<sequences).flatMap { [Int32](repeating: Int32($0), count: count) },
      positions: (0..<sequences).flatMap { _ in first..<first + Int32(count) })
    dropout = nil
    headKey = nil
    recomputesLayers = false
    usesAdapters = false
    adapterScale = 1
    trace = nil
    kept = nil
  }

  func dropout(site: UInt32) -> Dropout? {
    dropout.map { Dropout(probability: $0.probability, key: $0.key, site: site, tokens: places) }
  }
}
