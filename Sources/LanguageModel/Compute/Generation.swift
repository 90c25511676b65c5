import Tensors

extension TrainableModel {
  /// The logits of every token, [tokens, vocabulary].
  public func logits(_ tokens: [Int32]) throws -> HostTensor {
    let vocabulary = configuration.vocabularySize
    try MicroBatch.check(tokens, vocabulary: vocabulary)
    var values: [Float] = []
    values.reserveCapacity(tokens.count * vocabulary)
    if !tokens.isEmpty {
      let pass = try ForwardPass(
        tape: tape, offsets: [0, Int32(tokens.count)], rope: rope,
        tokenDomains: tokenDomains(count: tokens.count))
      let hidden = try transformer.hidden(tokens, pass)
      // Row by row in blocks, so that the logits are not in memory twice.
      for start in stride(from: 0, to: tokens.count, by: 128) {
        let places = Array(Int32(start)..<Int32(min(start + 128, tokens.count)))
        try transformer.logits(hidden, places: places, pass).withValues { values += $0 }
      }
    }
    return HostTensor(shape: [tokens.count, vocabulary], values: values)
  }

  /// Goes on from a prompt; see ``TextGenerator/generate(prompt:maxTokens:sampling:endTokens:onToken:)``.
  @discardableResult
  public func generate(
    prompt: [Int32], maxTokens: Int, sampling: SamplingOptions = SamplingOptions(),
    endTokens: Set<Int32>? = nil, onToken: (Int32) -> Bool
  ) throws -> TextGenerator.Ending {
    try TextGenerator(self).generate(
      prompt: prompt, maxTokens: maxTokens, sampling: sampling, endTokens: endTokens, onToken: onToken)
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
    if cache.count + tokens.count > cache.capacity {
      try cache.reserve(cache.count + tokens.count)
      _ = try model.rope.tables(positions: cache.capacity)
    }
    let pass = try ForwardPass(
      tape: model.tape, count: tokens.count, following: cache, rope: model.rope,
      tokenDomains: model.tokenDomains(count: tokens.count))
    let hidden = try model.transformer.hidden(tokens, pass)
    cache.advance(by: tokens.count)
    return try model.transformer.logits(hidden, places: [Int32(tokens.count - 1)], pass).values
  }

  /// Forgets all tokens but the first.
  func truncate(to tokens: Int) { cache.truncate(to: tokens) }
}
