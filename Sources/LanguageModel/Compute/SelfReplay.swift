import Kernels
import Randomness
import Tensors

/// Texts that a base model writes itself, to be rehearsed while it learns something else.
///
/// A text begins with given tokens; the next token is the first whose running sum of e^(z − max), in f32, passes u times
/// the whole sum in Double, at temperature 1 over the whole vocabulary; u is keyed by (seed, text, place). It ends with a
/// token that ends a text, or at its longest. A function of the model, its arithmetic and these numbers alone: how many
/// are written together, and on how many threads, changes nothing.
public struct SelfReplay: Sendable {
  public var seed: UInt64
  /// Tokens of a text at most, its beginning included.
  public var maxTokens: Int
  /// What each text begins with; not empty.
  public var starts: [[Int32]]
  /// Tokens that end a text.
  public var endTokens: Set<Int32>
  /// The number of the first text here, where others write those before it.
  public var firstText = 0
  /// Texts that are written together.
  private static let together = 32

  public init(seed: UInt64, maxTokens: Int, starts: [[Int32]], endTokens: Set<Int32>) {
    self.seed = seed
    self.maxTokens = maxTokens
    self.starts = starts
    self.endTokens = endTokens
  }

  /// What text number `index` begins with, where a share of the texts begins with prompts, which take turns.
  ///
  /// - Parameter prompts: not empty
  public static func start(
    of index: Int, otherwise: [Int32], prompts: [[Int32]], share: Double
  ) -> [Int32] {
    let before = Int((Double(index) * share).rounded(.down))
    let isPrompted = Int((Double(index + 1) * share).rounded(.down)) > before
    return isPrompted ? prompts[before % prompts.count] : otherwise
  }

  /// Writes the texts; their ids, their beginnings and ends included.
  ///
  /// - Parameter progress: is told how many are done.
  /// - Throws: `BatchError` if a beginning is empty, longer than a text may be, or outside the vocabulary.
  public func write(
    with model: TrainableModel, progress: ((Int) -> Void)? = nil
  ) throws -> [[Int32]] {
    try check(vocabulary: model.configuration.vocabularySize)
    var texts = starts
    var done = 0
    // Those that begin with as many tokens grow together.
    for (_, group) in Dictionary(grouping: starts.indices, by: { starts[$0].count }).sorted(by: {
      $0.key < $1.key
    }) {
      for first in stride(from: 0, to: group.count, by: Self.together) {
        let numbers = Array(group[first..<min(first + Self.together, group.count)])
        try write(numbers, into: &texts, model)
        done += numbers.count
        progress?(done)
      }
    }
    return texts
  }

  /// - Throws: `BatchError` if a beginning is empty, longer than a text may be, or outside the vocabulary.
  public func check(vocabulary: Int) throws(BatchError) {
    for start in starts {
      guard !start.isEmpty, start.count < maxTokens else {
        throw BatchError("a text of at most \(maxTokens) tokens cannot begin with \(start.count)")
      }
      try MicroBatch.check(start, vocabulary: vocabulary)
    }
  }

  private func write(_ numbers: [Int], into texts: inout [[Int32]], _ model: TrainableModel) throws {
    var open = numbers
    var next = open.map { texts[$0] }
    let cache = try BatchCache(
      configuration: model.configuration, sequences: open.count, capacity: maxTokens,
      memory: model.tape.memory)
    while !open.isEmpty {
      let logits = try model.nextLogits(next, cache)
      var kept: [Int] = []
      for (place, number) in open.enumerated() {
        let token = draw(logits[place], text: firstText + number, place: texts[number].count)
        texts[number].append(token)
        if !endTokens.contains(token), texts[number].count < maxTokens { kept.append(place) }
      }
      cache.keep(kept)
      open = kept.map { open[$0] }
      next = open.map { [texts[$0].last ?? 0] }
    }
  }

  private func draw(_ logits: [Float], text: Int, place: Int) -> Int32 {
    var most = -Float.infinity
    for logit in logits where logit > most { most = logit }
    var sums = [Float](repeating: 0, count: logits.count)
    var sum: Float = 0
    for (id, logit) in logits.enumerated() {
      sum += Float(nl_exp(Double(logit) - Double(most)))
      sums[id] = sum
    }
    let key = RandomKey(.selfReplay, seed: seed, 0, UInt64(text))
    let goal = key.unit(UInt64(place)) * Double(sum)
    return Int32(sums.firstIndex { Double($0) > goal } ?? logits.count - 1)
  }
}

extension TrainableModel {
  /// The logits that follow some sequences, of the base model: adapters are left off.
  ///
  /// - Parameter tokens: new tokens of each sequence, as many of each
  func nextLogits(_ tokens: [[Int32]], _ cache: BatchCache) throws(TensorError) -> [[Float]] {
    let each = tokens.first?.count ?? 0
    let pass = try ForwardPass(
      tape: tape, sequences: tokens.count, count: each, following: cache, length: cache.length, rope: rope)
    let hidden = try transformer.hidden(tokens.flatMap(\.self), pass)
    cache.advance(by: each)
    let last = (1...max(1, tokens.count)).map { Int32($0 * each - 1) }
    let logits = try transformer.logits(hidden, places: last, pass)
    let vocabulary = configuration.vocabularySize
    return logits.withValues { values in
      tokens.indices.map { Array(values[$0 * vocabulary..<($0 + 1) * vocabulary]) }
    }
  }
}
