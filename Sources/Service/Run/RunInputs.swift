import Files
import Foundation
import JSON
import LanguageModel
import NestedLearning

/// SHA-256 of everything that a run was started from. A run is resumed only if all of them are still the same.
struct RunInputs: Sendable, Equatable {
  /// Over the model folder's config.json and weights: what a worker's copy is compared with.
  var model: String
  var tokenizer: String
  var trainData: String
  /// nil if the last rows of the training data are the validation data.
  var valData: String?
  var adapter: String?

  init(config: NestedLearningConfig, folder: ModelFolder) throws {
    model = try FileDigest.sha256(files: folder.weightFiles())
    tokenizer = try FileDigest.sha256(files: Self.existing(Self.tokenizerFiles, in: folder.path))
    trainData = try FileDigest.sha256(file: config.trainDataPath)
    valData = try config.valDataPath.map(FileDigest.sha256(file:))
    adapter = try config.adapterPath.map {
      try FileDigest.sha256(files: Self.existing(Self.adapterFiles, in: $0))
    }
  }

  /// The files that decide which ids a text becomes, and which weights an adapter has.
  private static let tokenizerFiles = ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]
  private static let adapterFiles = [
    "adapters.safetensors", "adapter_model.safetensors", "adapter_config.json",
  ]

  private static func existing(_ names: [String], in folder: String) -> [String] {
    names.map { folder + "/" + $0 }.filter { FileManager.default.fileExists(atPath: $0) }
  }

  private var members: [(key: String, what: String, sha256: String?)] {
    [
      ("model", "the base model", model), ("tokenizer", "the tokenizer", tokenizer),
      ("train_data", "the training data", trainData), ("val_data", "the validation data", valData),
      ("adapter", "the adapter that training started from", adapter),
    ]
  }

  var json: JSONValue {
    .object(JSONObject(members.map { .init(key: $0.key, value: $0.sha256.map { .string($0) } ?? .null) }))
  }

  /// - Throws: `ServiceError` that names what is not as it was when the run began.
  func check(recorded: JSONValue, folder: String) throws {
    for (key, what, sha256) in members where recorded[key]?.string != sha256 {
      throw ServiceError(
        "\(what) is not what the run in \(folder) was started with (SHA-256 \(sha256 ?? "none"), then "
          + "\(recorded[key]?.string ?? "none"))",
        remedy: "put the old file back, or start a new run under another experiment_name")
    }
  }
}
