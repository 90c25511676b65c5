import Foundation
import JSON

/// A model in the Hugging Face layout: `config.json`, weights, and a tokenizer.
public struct ModelFolder: Sendable {
  public let path: String
  public private(set) var configuration: ModelConfiguration
  /// Rows of the embedding and the head beyond those of the files; see ``grown(to:)``.
  public private(set) var addedRows = 0
  public let weights: WeightStore

  /// Reads `config.json` and maps the weights; every tensor that the configuration asks for is there, with its
  /// shape, when this returns. The tokenizer is not touched. Where the checkpoint has another head than its embedding,
  /// the configuration's embeddings are not tied, whatever `config.json` says, as in transformers 5.
  public init(path: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder), isFolder.boolValue else {
      throw ModelError(file: path, "there is no such folder; a model folder with config.json was expected")
    }
    self.path = path
    var configuration = try Self.configuration(folder: path)
    weights = try WeightStore(folder: path, headIsEmbedding: configuration.tiedEmbeddings)
    if configuration.tiedEmbeddings, try weights.hasHeadOfItsOwn {
      configuration.tiedEmbeddings = false
      configuration.remarks.append(
        "\(WeightStore.headName) differs from \(WeightStore.embeddingName): it is used as the head, although "
          + "tie_word_embeddings is true in config.json")
    }
    self.configuration = configuration
    try weights.check(against: configuration)
    leftOut = weights.names(leftOutBy: configuration)
  }

  /// The tensors of the checkpoint that `config.json` has no place for, and which take no part in anything that is
  /// computed; ascending.
  public let leftOut: [String]

  /// What a user should be told of this folder, a line each: what is left out, and what the config says and is not done.
  public var warnings: [String] {
    var warnings = configuration.remarks.map { "\(path): \($0)" }
    if !leftOut.isEmpty {
      let shown = leftOut.prefix(200).joined(separator: ", ")
      let more = leftOut.count > 200 ? ", and \(leftOut.count - 200) more" : ""
      warnings.append(
        "left out: \(shown)\(more) (\(leftOut.count) tensors of \(path) that its config.json has no place for)"
      )
    }
    return warnings
  }

  /// The same model with more tokens in its vocabulary. The embedding and the head have rows of zeros for these, which
  /// whoever adds tokens gives their values; both must be trained, or come from an adapter.
  ///
  /// - Parameter rows: those of the embedding and the head, in all.
  /// - Throws: ``ModelError`` if these are fewer than the files have.
  public func grown(to rows: Int) throws(ModelError) -> ModelFolder {
    let own = configuration.vocabularySize - addedRows
    guard rows >= own, rows <= Int(Int32.max) else {
      throw ModelError(file: path, "has \(own) rows in its embedding, and \(rows) were asked for")
    }
    var folder = self
    folder.configuration.vocabularySize = rows
    folder.addedRows = rows - own
    return folder
  }

  /// Reads `config.json` alone. `generation_config.json`, where there is one, has the last word on the tokens
  /// that end a text.
  public static func configuration(folder: String) throws(ModelError) -> ModelConfiguration {
    let file = folder + "/config.json"
    var configuration = try ModelConfiguration(json: try readJSON(path: file), file: file)
    let generation = folder + "/generation_config.json"
    if FileManager.default.fileExists(atPath: generation) {
      let json = try readJSON(path: generation)
      let ids = try ConfigurationReader(json: json, file: generation).tokenIDs("eos_token_id")
      if !ids.isEmpty { configuration.eosTokenIDs = ids }
    }
    return configuration
  }

  /// The files that make the base model what it is, in a fixed order: `config.json`, then the safetensors files
  /// by name. Two folders whose files have the same bytes give the same training.
  public func weightFiles() -> [String] { [path + "/config.json"] + weights.files }
}

extension ModelFolder {
  /// Reads `tokenizer.json`.
  public func tokenizer() throws -> Tokenizer { try Tokenizer(modelFolder: path) }
}
