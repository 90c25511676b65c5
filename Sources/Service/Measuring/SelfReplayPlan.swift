import LanguageModel
import NestedLearning
import WireProtocol

/// What the texts begin with that the base model writes itself, and how they are drawn.
struct SelfReplayPlan {
  let texts: SelfReplay

  init(_ config: NestedLearningConfig, folder: ModelFolder, tokenizer: Tokenizer) throws {
    let prompts = try config.selfReplayPrompts.map { try tokenizer.encode($0, addSpecialTokens: true) }
    let begin = try Self.begin(folder, tokenizer)
    let starts = (0..<config.selfReplaySamples).map { index in
      prompts.isEmpty
        ? begin
        : SelfReplay.start(of: index, otherwise: begin, prompts: prompts, share: config.selfReplayPrompted)
    }
    let end = tokenizer.eosTokenID
    texts = SelfReplay(
      seed: config.seed, maxTokens: min(config.selfReplayTokens ?? config.maxSeqLength, config.maxSeqLength),
      starts: starts, endTokens: Set([end].compactMap(\.self)))
    try texts.check(vocabulary: folder.configuration.vocabularySize)
  }

  /// What a text begins with that no prompt begins: the token that begins texts, or else the one that ends them.
  private static func begin(_ folder: ModelFolder, _ tokenizer: Tokenizer) throws -> [Int32] {
    let token = folder.configuration.bosTokenID.map { Int32($0) } ?? tokenizer.eosTokenID
    guard let token else {
      throw ServiceError(
        "replay self: no token begins or ends a text of \(folder.path)",
        remedy: "name one as bos_token_id in config.json")
    }
    return [token]
  }

  /// As workers are told.
  func sampling(rows: Int) -> TextSampling {
    TextSampling(
      seed: texts.seed, first: 0, rows: rows, maxTokens: texts.maxTokens, endTokens: texts.endTokens.sorted())
  }
}

extension SelfReplay {
  /// The texts of one micro-batch of an assignment: what its rows begin.
  init(_ sampling: TextSampling, of batch: AssignedMicroBatch) {
    let starts = zip(batch.offsets, batch.offsets.dropFirst()).map { Array(batch.tokens[Int($0)..<Int($1)]) }
    self.init(
      seed: sampling.seed, maxTokens: sampling.maxTokens, starts: starts, endTokens: Set(sampling.endTokens))
    firstText = sampling.first + batch.number * sampling.rows
  }

  /// Ids and −1 up to the longest there may be, one text after the other.
  func numbers(with model: TrainableModel) throws -> [Float] {
    try write(with: model).flatMap { text in
      text.map { Float($0) } + Array(repeating: -1, count: max(0, maxTokens - text.count))
    }
  }
}
