import Randomness

/// Picks the tokens of one text, each from the logits for its place. A function of the options, the prompt and the logits
/// alone: the n-th token is drawn by the n-th number of the seed.
struct TokenSampler {
  private let options: SamplingOptions
  private let key: RandomKey
  /// The tokens that are in the text.
  private var seen: Set<Int32>
  private var count = 0

  init(_ options: SamplingOptions, prompt: [Int32]) {
    self.options = options
    key = RandomKey(.sampling, seed: options.seed, 0, options.text)
    seen = options.repetitionPenalty == 1 ? [] : Set(prompt)
  }

  mutating func next(_ logits: [Float]) -> Int32 {
    let scores = Self.scores(logits, seen: seen, options)
    let token =
      options.temperature == 0
      ? LogitsProcessor.likeliest(scores)
      : LogitsProcessor.draw(scores, uniform: key.unit(UInt64(count)))
    count += 1
    if options.repetitionPenalty != 1 { seen.insert(token) }
    return token
  }

  /// The scores whose softmax has the probabilities that a token is drawn by; at temperature 0 those whose largest is taken.
  static func scores(_ logits: [Float], seen: Set<Int32>, _ options: SamplingOptions) -> [Float] {
    var scores = logits
    LogitsProcessor.penalize(&scores, seen: seen, penalty: options.repetitionPenalty)
    guard options.temperature > 0 else { return scores }
    LogitsProcessor.temper(&scores, temperature: options.temperature)
    if let topK = options.topK { LogitsProcessor.keepTop(&scores, count: topK) }
    if options.topP < 1 { LogitsProcessor.keepTop(&scores, share: options.topP) }
    return scores
  }
}
