import Randomness

/// `sampling_length_mode`: in which order batches of rows of similar length come.
public enum LengthMode: String, Sendable, CaseIterable {
  /// In a new random order in each pass.
  case uniform
  /// The shortest, the longest, the second shortest, the second longest, and so on.
  case mixed
  /// From the shortest to the longest.
  case progressive
}

/// Batches of rows that are about as long as each other, so that little is computed for nothing.
///
/// Rows fall into bands: a band begins with the shortest row left, and has all rows up to (1 + tolerance) times as long. In
/// each pass every band has its rows in a new random order, or, for diversity of domains, one of each domain in turn, and is
/// cut into batches; the last of a band may be smaller. A pass has every row once, and every pass has as many batches.
public struct LengthBatches: Sendable {
  /// Batches of a pass.
  public let count: Int
  private let bands: [[Int]]
  /// The band of each batch, and which of its batches it is.
  private let batches: [(band: Int, part: Int)]
  private let domains: [String]?
  private let size: Int
  private let mode: LengthMode
  private let seed: UInt64
  private let order: RowDecks
  private let decks: [RowDecks]

  /// - Parameters:
  ///   - lengths: [rows] in tokens, at least one
  ///   - domains: [rows]; nil: whatever comes
  ///   - tolerance: of at least 0
  public init(
    lengths: [Int], domains: [String]? = nil, batchSize: Int, tolerance: Double, mode: LengthMode,
    seed: UInt64
  ) {
    var bands: [[Int]] = []
    var most = -1.0
    for row in lengths.indices.sorted(by: { (lengths[$0], $0) < (lengths[$1], $1) }) {
      if Double(lengths[row]) > most {
        bands.append([])
        most = Double(lengths[row]) * (1 + tolerance)
      }
      bands[bands.count - 1].append(row)
    }
    let size = max(1, batchSize)
    self.bands = bands
    batches = bands.indices.flatMap { band in
      (0..<(bands[band].count + size - 1) / size).map { (band, $0) }
    }
    count = batches.count
    self.domains = domains
    self.size = size
    self.mode = mode
    self.seed = seed
    // Bands have decks of their own, from 1 on.
    order = RowDecks(seed: seed, deck: 0)
    decks = bands.indices.map { RowDecks(seed: seed, deck: $0 + 1) }
  }

  /// The rows of a batch, numbered from 0 over the whole run.
  public func batch(at index: Int) -> [Int] {
    let (pass, turn) = index.quotientAndRemainder(dividingBy: count)
    let place =
      switch mode {
      case .uniform: Int(order.order(count: count, pass: pass)[turn])
      case .mixed: turn % 2 == 0 ? turn / 2 : count - 1 - turn / 2
      case .progressive: turn
      }
    let (band, part) = batches[place]
    let order = decks[band].order(count: bands[band].count, pass: pass)
    let taken = part * size..<min((part + 1) * size, order.count)
    guard let domains else { return order[taken].map { bands[band][Int($0)] } }
    return Array(Self.inTurn(order.map { bands[band][Int($0)] }, domains)[taken])
  }

  /// One row of each domain in turn, as long as it has any.
  private static func inTurn(_ rows: [Int], _ domains: [String]) -> [Int] {
    var waiting: [String: [Int]] = [:]
    for row in rows.reversed() { waiting[domains[row], default: []].append(row) }
    let names = waiting.keys.sorted { $0.utf8.lexicographicallyPrecedes($1.utf8) }
    var mixed: [Int] = []
    while mixed.count < rows.count {
      for name in names { if let row = waiting[name]?.popLast() { mixed.append(row) } }
    }
    return mixed
  }
}
