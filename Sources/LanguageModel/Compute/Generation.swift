import Kernels
import Tensors

extension TrainableModel {
  /// The logits of every token, [tokens, vocabulary].
  public func logits(_ tokens: [Int32]) throws -> HostTensor {
    let vocabulary = configuration.vocabularySize
    try MicroBatch.check(tokens, vocabulary: vocabulary)
    var values: [Float] = []
    values.reserveCapacity(tokens.count * vocabulary)
    if !tokens.isEmpty {
      let pass = try ForwardPass(tape: tape, offsets: [0, Int32(tokens.count)], rope: rope)
      let hidden = try transformer.hidden(tokens, pass)
      // Row by row in blocks, so that the logits are not in memory twice.
      for start in stride(from: 0, to: tokens.count, by: 128) {
        let places = Array(Int32(start)..<Int32(min(start + 128, tokens.count)))
        try transformer.logits(hidden, places: places, pass).withValues { values += $0 }
      }
    }
    return HostTensor(shape: [tokens.count, vocabulary], values: values)
  }

  /// Goes on from a prompt, token by token, with the keys and values of earlier tokens kept.
  ///
  /// Ends after `maxTokens` tokens, at a token that ends a text (which is not handed over), or when `onToken`
  /// returns false. `endTokens` are those that end a text; nil: those of the configuration (see also
  /// ``Tokenizer/endTokenIDs``). Temperature 0 always takes the likeliest token (the lowest id of equals); above it tokens are
  /// drawn with probabilities softmax(logits/temperature), the n-th from the n-th number of the seed.
  public func generate(
    prompt: [Int32], maxTokens: Int, temperature: Double, seed: UInt64, endTokens: Set<Int32>? = nil,
    onToken: (Int32) -> Bool
  ) throws {
    guard !prompt.isEmpty else { throw BatchError("a prompt needs at least one token") }
    guard temperature >= 0, temperature.isFinite else {
      throw BatchError("the temperature is \(temperature); it must be 0 or above")
    }
    guard (0...1 << 20).contains(maxTokens) else {
      throw BatchError("the number of tokens to generate is \(maxTokens); it must be from 0 to \(1 << 20)")
    }
    try MicroBatch.check(prompt, vocabulary: configuration.vocabularySize)
    let key = RandomKey.derive(.sampling, seed: seed)
    let decoder = try CachedDecoder(self, capacity: prompt.count + maxTokens)
    let endTokens = endTokens ?? Set(configuration.eosTokenIDs.map { Int32($0) })
    var next = prompt
    for index in 0..<maxTokens {
      let logits = try decoder.lastLogits(next)
      let token =
        temperature == 0
        ? Sampler.likeliest(logits)
        : Sampler.draw(logits, temperature: temperature, uniform: RandomKey.unit(key: key, index: index))
      if endTokens.contains(token) || !onToken(token) { return }
      next = [token]
    }
  }
}

/// Computes the logits of new tokens from the cached keys and values of all earlier ones.
struct CachedDecoder {
  private let model: TrainableModel
  private let cache: KeyValueCache

  init(_ model: TrainableModel, capacity: Int) throws(TensorError) {
    self.model = model
    _ = try model.rope.tables(positions: capacity)
    cache = try KeyValueCache(
      configuration: model.configuration, capacity: capacity, memory: model.tape.memory)
  }

  /// Appends tokens and returns the logits of the last.
  func lastLogits(_ tokens: [Int32]) throws(TensorError) -> [Float] {
    let pass = try ForwardPass(
      tape: model.tape, count: tokens.count, following: cache, rope: model.rope)
    let hidden = try model.transformer.hidden(tokens, pass)
    cache.advance(by: tokens.count)
    return try model.transformer.logits(hidden, places: [Int32(tokens.count - 1)], pass).values
  }
}

/// Picks a token from logits.
enum Sampler {
  static func likeliest(_ logits: [Float]) -> Int32 {
    var best = 0
    for (i, value) in logits.enumerated() where value > logits[best] { best = i }
    return Int32(best)
  }

  /// The first token at which the running sum of e^((logit − max)/temperature) passes `uniform` of the total.
  static func draw(_ logits: [Float], temperature: Double, uniform: Double) -> Int32 {
    let highest = Double(logits[Int(likeliest(logits))])
    let weights = logits.map { nl_exp((Double($0) - highest) / temperature) }
    let goal = uniform * weights.reduce(0, +)
    var sum = 0.0
    for (i, weight) in weights.enumerated() {
      sum += weight
      if sum > goal { return Int32(i) }
    }
    return likeliest(logits)
  }
}
