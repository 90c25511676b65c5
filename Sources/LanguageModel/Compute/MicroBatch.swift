/// Token rows packed one after the other, without padding: the unit that gradients are computed for.
public struct MicroBatch: Sendable, Equatable {
  /// The rows' tokens.
  public var tokens: [Int32]
  /// Row r has the tokens [offsets[r], offsets[r+1]); one more entry than rows.
  public var offsets: [Int32]
  /// labels[i] is the token to be predicted at place i, or `MicroBatch.ignored`.
  public var labels: [Int32]

  /// The label of a place that no loss is computed for, as in PyTorch.
  public static let ignored: Int32 = -100

  /// A loss on every real next token: each place but the last of its row.
  public init(rows: [[Int32]]) {
    tokens = rows.flatMap { $0 }
    labels = rows.flatMap { $0.dropFirst() + [Self.ignored].prefix($0.count) }
    offsets = rows.reduce(into: [0]) { $0.append(($0.last ?? 0) + Int32($1.count)) }
  }

  public init(tokens: [Int32], offsets: [Int32], labels: [Int32]) {
    self.tokens = tokens
    self.offsets = offsets
    self.labels = labels
  }

  public var rowCount: Int { max(0, offsets.count - 1) }

  /// Number of places that have a label.
  public var trainedTokens: Int { labels.reduce(0) { $1 == Self.ignored ? $0 : $0 + 1 } }

  /// The places that have a label, ascending.
  var trainedPlaces: [Int32] {
    labels.indices.filter { labels[$0] != Self.ignored }.map(Int32.init)
  }

  /// - Throws: unless offsets ascend from 0 to the number of tokens, there is a label for each token, and all
  ///   tokens and labels are in the vocabulary.
  func check(vocabulary: Int) throws(BatchError) {
    guard offsets.first == 0, offsets.last.map(Int.init) == tokens.count,
      zip(offsets, offsets.dropFirst()).allSatisfy({ $0 <= $1 })
    else { throw BatchError("row offsets do not ascend from 0 to the number of tokens (\(tokens.count))") }
    guard labels.count == tokens.count else {
      throw BatchError("\(labels.count) labels for \(tokens.count) tokens")
    }
    try Self.check(tokens, vocabulary: vocabulary)
    if let label = labels.first(where: { $0 != Self.ignored && !(0..<vocabulary).contains(Int($0)) }) {
      throw BatchError("the label \(label) is outside the model's vocabulary of \(vocabulary)")
    }
  }

  static func check(_ tokens: [Int32], vocabulary: Int) throws(BatchError) {
    if let token = tokens.first(where: { !(0..<vocabulary).contains(Int($0)) }) {
      throw BatchError("the token id \(token) is outside the model's vocabulary of \(vocabulary)")
    }
  }
}

/// A batch that the model cannot compute.
public struct BatchError: Error, Sendable, Equatable, CustomStringConvertible {
  public let description: String

  init(_ description: String) { self.description = description }
}

/// Which dropout masks to draw: those of one micro-batch of one step of one run.
public struct DropoutKey: Sendable, Equatable {
  public var seed: UInt64
  public var step: Int
  public var microBatch: Int

  public init(seed: UInt64, step: Int, microBatch: Int) {
    self.seed = seed
    self.step = step
    self.microBatch = microBatch
  }
}
