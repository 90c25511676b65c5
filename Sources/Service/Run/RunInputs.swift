import Files
import Foundation
import JSON
import LanguageModel
import NestedLearning

/// SHA-256 of everything that a run was started from. A run is resumed only if all of them are still the same; where
/// they lie does not matter.
struct RunInputs: Sendable, Equatable {
  /// Over the model folder's config.json and weights: what a worker's copy is compared with.
  var model: String
  var tokenizer: String
  var trainData: String
  /// nil if the last rows of the training data are the validation data.
  var valData: String?
  var adapter: String?
  /// Those of the single files of model, tokenizer and adapter, by member and name.
  private var files: [String: [String: String]] = [:]

  init(config: NestedLearningConfig, folder: ModelFolder) throws {
    func combined(_ member: String, _ paths: [String]) throws -> String {
      let each = try FileDigest.each(paths)
      files[member] = Dictionary(each.map { ($0.name, $0.sha256) }, uniquingKeysWith: { first, _ in first })
      return FileDigest.combined(each)
    }
    (model, tokenizer) = ("", "")
    trainData = try FileDigest.sha256(file: config.trainDataPath)
    valData = try config.valDataPath.map(FileDigest.sha256(file:))
    model = try combined("model", folder.weightFiles())
    tokenizer = try combined("tokenizer", Self.existing(TokenizerFiles.names, in: folder.path))
    adapter = try config.adapterPath.map { try combined("adapter", Self.existing(Self.adapterFiles, in: $0)) }
  }

  /// The files that decide which ids a text becomes, and which weights an adapter has.
  private static let adapterFiles = [
    "adapters.safetensors", "adapter_model.safetensors", "adapter_config.json",
  ]

  private static func existing(_ names: [String], in folder: String) -> [String] {
    names.map { folder + "/" + $0 }.filter { FileManager.default.fileExists(atPath: $0) }
  }

  private typealias Member = (key: String, what: String, sha256: String?, path: String?)

  private func members(_ config: NestedLearningConfig?) -> [Member] {
    [
      ("model", "the base model", model, config?.baseModelPath),
      ("tokenizer", "the tokenizer", tokenizer, config?.baseModelPath),
      ("train_data", "the training data", trainData, config?.trainDataPath),
      ("val_data", "the validation data", valData, config?.valDataPath),
      ("adapter", "the adapter that training started from", adapter, config?.adapterPath),
    ]
  }

  var json: JSONValue {
    var json = JSONObject(
      members(nil).map { .init(key: $0.key, value: $0.sha256.map { .string($0) } ?? .null) })
    json["files"] = .object(
      JSONObject(
        files.sorted { $0.key < $1.key }.map { member, files in
          .init(
            key: member,
            value: .object(
              JSONObject(
                files.sorted { $0.key < $1.key }.map { .init(key: $0.key, value: .string($0.value)) })))
        }))
    return .object(json)
  }

  /// - Parameter config: where the inputs lie now.
  /// - Throws: `ServiceError` that names what is not as it was when the run began, with both digests.
  func check(recorded: JSONValue, config: NestedLearningConfig, folder: String) throws {
    for member in members(config) where recorded[member.key]?.string != member.sha256 {
      let (name, now, then) = difference(member, recorded)
      throw ServiceError(
        "\(member.what)\(name.map { ", \($0)," } ?? "") is not what the run in \(folder) was started with "
          + "(SHA-256 \(now ?? "none"), then \(then ?? "none"))",
        remedy: "put the old file back or give its path, or start a new run under another experiment_name")
    }
  }

  /// The file that differs, if the run's record has the digests of single files, and otherwise where it lies.
  private func difference(_ member: Member, _ recorded: JSONValue) -> (
    name: String?, now: String?, then: String?
  ) {
    let now = files[member.key] ?? [:]
    let then = (recorded["files"]?[member.key]?.object?.members ?? []).reduce(into: [String: String]()) {
      $0[$1.key] = $1.value.string
    }
    let name = Set(now.keys).union(then.keys).sorted().first { now[$0] != then[$0] }
    guard !then.isEmpty, let name, let path = member.path else {
      return (member.path, member.sha256, recorded[member.key]?.string)
    }
    return ("\(path)/\(name)", now[name], then[name])
  }
}
