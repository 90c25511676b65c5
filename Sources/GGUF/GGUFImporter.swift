import Files
import JSON
import Kernels
import LanguageModel

/// Makes a model folder in Hugging Face's layout out of a GGUF file.
public struct GGUFImporter {
  public let file: String
  /// How weights are stored; nil: see ``GGUFWeights/standardType(of:)``.
  public var dtype: WrittenType?
  /// Bytes of a shard at most.
  public var shardSize = ShardedSafetensorsWriter.standardSize
  public var rules = TokenizerRules.transformers
  /// A folder whose tokenizer files are taken instead of what the GGUF file says.
  public var tokenizerFolder: String?

  public init(file: String) { self.file = file }

  /// What was made, for a person.
  public struct Report: Sendable {
    public fileprivate(set) var lines: [String] = []
    /// What a user should be told.
    public fileprivate(set) var warnings: [String] = []
  }

  /// Writes the folder, which appears whole or not at all.
  ///
  /// Tensors are decoded and written a piece at a time, so memory does not grow with the model.
  ///
  /// - Parameters:
  ///   - output: the folder to make; it must not be there yet.
  ///   - progress: hears of the bytes of weights that are written, and may end the work by an error.
  /// - Throws: ``ModelError`` for what is wrong with the file, `FileError` if something cannot be written.
  public func run(
    output: String, progress: @escaping (_ written: Int, _ total: Int) throws -> Void
  ) throws -> Report {
    guard FileSystem.kind(output) == nil else {
      throw ModelError(file: output, "is already there; remove it or choose another name")
    }
    let gguf = try GGUFFile(path: file)
    let dtype = self.dtype ?? GGUFWeights.standardType(of: gguf)
    var reader = try GGUFConfiguration(file: gguf)
    let configuration = try reader.configuration(dtype: dtype.stored.configName)
    let weights = GGUFWeights(file: gguf, configuration: configuration, dtype: dtype, progress: progress)
    let items = try weights.items()
    let byteCount = items.reduce(0) { $0 + $1.byteCount }
    let tokenizer =
      tokenizerFolder == nil
      ? try GGUFTokenizer(
        metadata: gguf.metadata, rules: rules, maxPositions: configuration.maxPositions) : nil
    if let free = FileSystem.freeBytes(at: output), free < byteCount {
      throw ModelError(
        file: output, "needs \(byteCount) bytes, but \(free) are free on this volume; free some space"
      )
    }
    var report = Report()
    try AtomicFolder.make(output) { folder in
      let files = try ShardedSafetensorsWriter.write(items, size: shardSize, to: folder)
      try AtomicFile.write(
        try json(configuration, gguf).bytes(indent: 2), to: folder + "/config.json")
      try write(tokenizer, gguf, to: folder)
      report.lines.append("weights    \(weights.summary(files: files.count))")
    }
    report.lines.append("tokenizer  \(tokenizerSummary(tokenizer))")
    report.warnings = reader.remarks + weights.remarks + (tokenizer?.remarks ?? [])
    if tokenizer != nil, rules == .transformers, configuration.family == .qwen2 {
      report.warnings.append(
        "transformers reads a GGUF file of qwen2 without Unicode form NFC, but a folder with it: text that is not in this "
          + "form has other ids when it reads \(output), unless it is imported with --tokenizer-rules original"
      )
    }
    return report
  }

  /// `config.json`: what the trainer knows, and the id of the padding.
  private func json(_ configuration: ModelConfiguration, _ gguf: GGUFFile) throws -> JSONValue {
    guard var object = configuration.json().object else { return configuration.json() }
    if let padding = try GGUFSpecialTokens(metadata: gguf.metadata).padding {
      object["pad_token_id"] = .number(padding)
    }
    return .object(object)
  }

  private func write(_ tokenizer: GGUFTokenizer?, _ gguf: GGUFFile, to folder: String) throws {
    if let tokenizerFolder {
      try ModelFolder.copyCompanions(from: tokenizerFolder, to: folder)
    } else if let tokenizer {
      try AtomicFile.write(tokenizer.tokenizer.bytes(indent: 2), to: folder + "/tokenizer.json")
      try AtomicFile.write(tokenizer.config.bytes(indent: 2), to: folder + "/tokenizer_config.json")
      try AtomicFile.write(tokenizer.specialTokens.bytes(indent: 2), to: folder + "/special_tokens_map.json")
      for (name, text) in tokenizer.chatTemplates {
        try FileSystem.makeFolders(FileSystem.folder(of: folder + "/" + name))
        try AtomicFile.write(Array(text.utf8), to: folder + "/" + name)
      }
    }
    let name = folder + "/generation_config.json"
    if FileSystem.kind(name) == nil {
      let generation = try GGUFSpecialTokens(metadata: gguf.metadata).generationConfig
      try AtomicFile.write(generation.bytes(indent: 2), to: name)
    }
  }

  private func tokenizerSummary(_ tokenizer: GGUFTokenizer?) -> String {
    if let tokenizerFolder { return "that of \(tokenizerFolder)" }
    guard let tokenizer else { return "none: the file has none" }
    let count = tokenizer.tokenizer["model"]?["vocab"]?.object?.members.count ?? 0
    let added = tokenizer.tokenizer["added_tokens"]?.array?.count ?? 0
    let template = tokenizer.chatTemplates.isEmpty ? "no chat template" : "with a chat template"
    return "\(count) tokens, \(added) of them found whole in a text, \(template)"
  }
}
