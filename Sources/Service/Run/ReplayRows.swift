import Dataset
import Digests
import Files
import Foundation
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
    precision: Precision, model: String, digests: FileDigests, progress: RunPlan.Progress
  ) throws {
    if config.replay == .self {
      let texts = try SelfReplayTexts(
        config, folder: folder, tokenizer: tokenizer, precision: precision, model: model,
        progress: progress.writing)
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

/// Texts that the base model writes itself, made once and kept by what decides them.
private struct SelfReplayTexts {
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

/// Where texts of the base model's own are kept, named by everything that decides them.
private struct SelfReplayFile {
  /// Nil if nothing is to be kept.
  private let path: String?
  private let count: Int

  /// - Parameter model: SHA-256 of the base model's folder
  init(_ plan: SelfReplay, precision: Precision, model: String) {
    var digest = DigestBuilder()
    digest.update("self-replay 1\n\(model)\n\(NumericProfile.name(of: precision))\n")
    digest.update("\(plan.seed) \(plan.maxTokens) \(plan.endTokens.sorted())\n")
    for start in plan.starts { digest.update("\(start)\n") }
    let name = digest.finish()
    let environment = ProcessInfo.processInfo.environment
    let isOff = environment[TokenCache.variable] == "off"
    path =
      isOff ? nil : TokenCache.folder(environment: environment).map { "\($0)/self-replay/\(name).ids" }
    count = plan.starts.count
  }

  /// Nil if they are not there, or damaged.
  func texts() -> [[Int32]]? {
    guard let path, FileSystem.kind(path) == .file, let bytes = try? AtomicFile.read(path) else { return nil }
    // The digest of the rest, then for each text its length and its ids.
    guard bytes.count >= 64,
      String(decoding: bytes.prefix(64), as: UTF8.self) == Self.digest(bytes.dropFirst(64))
    else { return nil }
    var numbers = stride(from: 64, to: bytes.count - 3, by: 4).map { place in
      (0..<4).reduce(UInt32(0)) { $0 | UInt32(bytes[place + $1]) << (8 * $1) }
    }[...]
    var texts: [[Int32]] = []
    while let length = numbers.popFirst() {
      guard length <= numbers.count else { return nil }
      texts.append(numbers.prefix(Int(length)).map { Int32(bitPattern: $0) })
      numbers = numbers.dropFirst(Int(length))
    }
    return texts.count == count ? texts : nil
  }

  /// What cannot be kept is written again another time.
  func keep(_ texts: [[Int32]]) {
    guard let path else { return }
    var bytes: [UInt8] = []
    for text in texts {
      for number in [UInt32(text.count)] + text.map({ UInt32(bitPattern: $0) }) {
        for shift in [0, 8, 16, 24] { bytes.append(UInt8(truncatingIfNeeded: number >> UInt32(shift))) }
      }
    }
    try? FileSystem.makeFolders(FileSystem.folder(of: path))
    try? AtomicFile.write(Array(Self.digest(bytes[...]).utf8) + bytes, to: path)
  }

  private static func digest(_ bytes: ArraySlice<UInt8>) -> String {
    bytes.withUnsafeBytes { Digest.sha256($0) }
  }
}
