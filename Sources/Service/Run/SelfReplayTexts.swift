import Dataset
import LanguageModel
import NestedLearning

/// Texts that the base model has written itself, as rows.
struct SelfReplayTexts {
  let rows: [TokenRow]
  let summary: [String]
  private static let shownTexts = 5

  init(_ config: NestedLearningConfig, plan: SelfReplayPlan, texts: [[Int32]], tokenizer: Tokenizer) {
    rows = zip(texts, plan.texts.starts).map { TokenRow(ids: $0, trained: [$1.count..<$0.count]) }
    let written = texts.reduce(0) { $0 + $1.count }
    summary =
      [
        "Replay   \(texts.count) texts of the base model's own, \(written) tokens, \(ReplayRows.share(config)) of the rows"
      ]
      + texts.prefix(Self.shownTexts).map {
        "         " + TerminalText.line(tokenizer.decode($0, skipSpecialTokens: true))
      }
  }
}
