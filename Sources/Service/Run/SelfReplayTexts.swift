import Dataset
import Foundation
import LanguageModel
import NestedLearning
import Tensors

/// Texts that the base model writes itself, made once and kept by what decides them.
struct SelfReplayTexts {
  let rows: [TokenRow]
  let summary: [String]
  private static let shownTexts = 5

  init(
    _ config: NestedLearningConfig, folder: ModelFolder, tokenizer: Tokenizer, precision: Precision,
    model: String, progress: ((_ done: Int, _ of: Int) -> Void)?
  ) throws {
    let prompts = try config.selfReplayPrompts.map { try tokenizer.encode($0, addSpecialTokens: true) }
    let begin = try Self.begin(folder, tokenizer)
    let starts = (0..<config.selfReplaySamples).map { index in
      prompts.isEmpty
        ? begin
        : SelfReplay.start(of: index, otherwise: begin, prompts: prompts, share: config.selfReplayPrompted)
    }
    let end = tokenizer.eosTokenID
    let plan = SelfReplay(
      seed: config.seed, maxTokens: min(config.selfReplayTokens ?? config.maxSeqLength, config.maxSeqLength),
      starts: starts, endTokens: Set([end].compactMap(\.self)))
    let file = SelfReplayFile(plan, precision: precision, model: model)
    let texts =
      try file.texts()
      ?? Self.write(plan, folder: folder, precision: precision, to: file) { progress?($0, starts.count) }
    rows = zip(texts, starts).map { TokenRow(ids: $0, trained: [$1.count..<$0.count]) }
    let written = texts.reduce(0) { $0 + $1.count }
    summary =
      [
        "Replay   \(texts.count) texts of the base model's own, \(written) tokens, \(ReplayRows.share(config)) of the rows"
      ]
      + texts.prefix(Self.shownTexts).map {
        "         " + TerminalText.line(tokenizer.decode($0, skipSpecialTokens: true))
      }
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

  private static func write(
    _ plan: SelfReplay, folder: ModelFolder, precision: Precision, to file: SelfReplayFile,
    progress: (Int) -> Void
  ) throws -> [[Int32]] {
    let model = try TrainableModel(
      folder: folder, trainable: .lora(LoadedModel.neutral),
      pool: ThreadPool(threads: ProcessInfo.processInfo.activeProcessorCount), scansForNonFinite: false,
      precision: precision)
    let texts = try withoutActuallyEscaping(progress) { progress in
      try plan.write(with: model, progress: progress)
    }
    file.keep(texts)
    return texts
  }
}
