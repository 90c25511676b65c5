import JSON

/// How texts are drawn that the base model writes itself.
public struct TextSampling: Sendable, Hashable {
  /// Key of the random numbers.
  public var seed: UInt64
  /// The number of the unit's first text; those of micro-batch g follow `rows`·g texts later.
  public var first: Int
  /// Texts of every micro-batch but the last.
  public var rows: Int
  /// Tokens of a text at most, its beginning included.
  public var maxTokens: Int
  /// Tokens that end a text.
  public var endTokens: [Int32]

  public init(seed: UInt64, first: Int, rows: Int, maxTokens: Int, endTokens: [Int32]) {
    self.seed = seed
    self.first = first
    self.rows = rows
    self.maxTokens = maxTokens
    self.endTokens = endTokens
  }

  var json: JSONValue {
    [
      "seed": .number(String(seed)), "first": .number(first), "rows": .number(rows),
      "max_tokens": .number(maxTokens),
      "end_tokens": .numbers(endTokens.map { Int($0) }),
    ]
  }

  /// - Returns: nil if a member is missing or out of range.
  init?(json: JSONValue) {
    guard case .number(let digits)? = json["seed"], let seed = UInt64(digits), let first = json["first"]?.int,
      (0...Int(Int32.max)).contains(first),
      let rows = json["rows"]?.int, (1...65_535).contains(rows), let maxTokens = json["max_tokens"]?.int,
      (1...WireLimits.textTokens).contains(maxTokens), let ends = json["end_tokens"]?.array, ends.count <= 64
    else { return nil }
    let endTokens = ends.compactMap { $0.int.flatMap { Int32(exactly: $0) } }.filter { $0 >= 0 }
    guard endTokens.count == ends.count else { return nil }
    self.init(seed: seed, first: first, rows: rows, maxTokens: maxTokens, endTokens: endTokens)
  }
}
