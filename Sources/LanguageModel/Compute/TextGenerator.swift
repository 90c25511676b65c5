import Tensors

/// Continues texts, one after the other.
///
/// The keys and values of a text stay until the next one: what both have in common at the beginning, as the turns of a
/// conversation do, is not computed again. That changes no bit of a result.
public final class TextGenerator {
  /// Why a text ends.
  public enum Ending: Sendable, Equatable {
    /// A token came that ends a text.
    case endToken
    /// As many tokens came as were asked for.
    case maxTokens
    /// `onToken` wanted no more.
    case stopped
  }

  private let model: TrainableModel
  private var decoder: CachedDecoder?
  /// Tokens whose keys and values are kept.
  private var kept: [Int32] = []
  /// Tokens of the last prompt that were not computed again.
  public private(set) var reusedTokens = 0

  public init(_ model: TrainableModel) { self.model = model }

  /// Goes on from a prompt, token by token.
  ///
  /// Ends after `maxTokens` tokens, at a token that ends a text (which is not handed over), or when `onToken`
  /// returns false. `endTokens` are those that end a text; nil: those of the configuration (see also
  /// ``Tokenizer/endTokenIDs``).
  ///
  /// - Throws: `BatchError` for a prompt or an option that cannot be used, and `TensorError`, `.cancelled` among them if the
  ///   model's watch was cancelled. What was kept of earlier texts stays usable.
  @discardableResult
  public func generate(
    prompt: [Int32], maxTokens: Int, sampling: SamplingOptions = SamplingOptions(),
    endTokens: Set<Int32>? = nil, onToken: (Int32) -> Bool
  ) throws -> Ending {
    guard !prompt.isEmpty else { throw BatchError("a prompt needs at least one token") }
    try sampling.check()
    guard (0...1 << 20).contains(maxTokens) else {
      throw BatchError("the number of tokens to generate is \(maxTokens); it must be from 0 to \(1 << 20)")
    }
    try MicroBatch.check(prompt, vocabulary: model.configuration.vocabularySize)
    let endTokens = endTokens ?? Set(model.configuration.eosTokenIDs.map { Int32($0) })
    var sampler = TokenSampler(sampling, prompt: prompt)
    var next = try unknownEnd(of: prompt)
    for _ in 0..<maxTokens {
      let token = sampler.next(try lastLogits(next))
      if endTokens.contains(token) { return .endToken }
      if !onToken(token) { return .stopped }
      next = [token]
    }
    return .maxTokens
  }

  /// The tokens of a prompt from where it differs from the kept ones, at least one; these are forgotten from there on.
  private func unknownEnd(of prompt: [Int32]) throws(TensorError) -> [Int32] {
    let common = zip(kept, prompt).prefix { $0 == $1 }.count
    reusedTokens = keepsAngles ? min(common, prompt.count - 1) : 0
    kept.removeLast(kept.count - reusedTokens)
    if decoder == nil { decoder = try CachedDecoder(model, capacity: prompt.count + 64) }
    decoder?.truncate(to: reusedTokens)
    return Array(prompt[reusedTokens...])
  }

  private func lastLogits(_ tokens: [Int32]) throws(TensorError) -> [Float] {
    guard let decoder else { return [] }
    let logits = try decoder.lastLogits(tokens)
    kept += tokens
    return logits
  }

  /// Whether a token's keys are the same whatever the length of the text.
  private var keepsAngles: Bool {
    switch model.configuration.ropeScaling {
    case .dynamic, .longrope: false
    default: true
    }
  }
}
