import Dataset
import Files
import LanguageModel
import NestedLearning
import Tensors

/// The rows that a run rehearses: of files, or written by the base model itself.
struct ReplayRows: Sendable {
  let rows: RowSet
  /// Lines for a person.
  let summary: [String]
  /// Over what was read; nil of texts of the base model's own, which the config and the model decide.
  let sha256: String?

  /// - Returns: nil if nothing is rehearsed.
  init?(
    config: NestedLearningConfig, folder: ModelFolder, tokenizer: Tokenizer, encoding: RowEncoding,
    measured: Measured
  ) throws {
    let (digests, progress) = (measured.digests, measured.progress)
    if config.replay == .self {
      let plan = try SelfReplayPlan(config, folder: folder, tokenizer: tokenizer)
      let texts = SelfReplayTexts(config, plan: plan, texts: try measured.texts(), tokenizer: tokenizer)
      rows = RowSet(texts.rows)
      summary = texts.summary
      sha256 = nil
    } else if let path = config.replayDataPath {
      let files = try DataFiles.files(path, .train)
      let read = try files.map {
        try TokenRows(
          file: $0, encoder: encoding.encoder, options: RowOptions(config), cache: encoding.cache,
          sha256: digests.sha256, progress: progress.tokenizing)
      }
      rows = RowSet(joining: read.map(\.rows))
      summary =
        ["Replay   \(rows.count) rows, \(Self.share(config)) of those trained on"]
        + read.flatMap { [$0.report.overview] + $0.report.remarks }.map { "         \($0)" }
      sha256 =
        files.count == 1
        ? try digests.sha256(files[0])
        : FileDigest.combined(try files.enumerated().map { ("\($0)", try digests.sha256($1)) })
    } else {
      return nil
    }
  }

  static func share(_ config: NestedLearningConfig) -> String {
    "\((config.replayFraction * 1000).rounded() / 10) %"
      + (config.replayAt == .boundaries
        ? " at every \(config.tierUpdateFrequencies.last ?? 1)th step" : "")
  }
}
