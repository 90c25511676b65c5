import Dataset
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
  /// nil if nothing of a file is rehearsed.
  var replayData: String?
  /// By stage of the curriculum, of those that have data of their own.
  private(set) var stageData: [Int: String] = [:]
  /// Those of the single files of model, tokenizer and adapter, by member and name.
  private var files: [String: [String: String]] = [:]

  /// Over the files that say how conversations are written; nil without conversations, or without such files.
  var chatTemplate: String?
  /// Where the single files of the data lie now, by member and name.
  private var places: [String: [String: String]] = [:]

  init(
    config: NestedLearningConfig, folder: ModelFolder, hasConversations: Bool = false,
    digests: FileDigests = FileDigests()
  ) throws {
    func combined(_ member: String, _ paths: [String]) throws -> String {
      let each = try paths.map { (name: FileSystem.name(of: $0), sha256: try digests.sha256($0)) }
      files[member] = Dictionary(each.map { ($0.name, $0.sha256) }, uniquingKeysWith: { first, _ in first })
      return FileDigest.combined(each)
    }
    (model, tokenizer, trainData) = ("", "", "")
    let data = try DataFiles(config: config)
    trainData = try dataDigest("train_data", data.train, digests)
    if !data.validation.isEmpty {
      valData = try dataDigest("val_data", data.validation.map { WeightedPath(path: $0) }, digests)
    }
    for (stage, own) in config.curriculumStages.enumerated() where !own.data.isEmpty {
      let files = try DataFiles(config: config.ofStage(stage)).train
      stageData[stage] = try dataDigest(Self.member(ofStage: stage), files, digests)
    }
    model = try combined("model", folder.weightFiles())
    tokenizer = try combined("tokenizer", Self.existing(TokenizerFiles.names, in: folder.path))
    adapter = try config.adapterPath.map { try combined("adapter", Self.existing(Self.adapterFiles, in: $0)) }
    let templates = RowEncoding.templateFiles(in: folder.path)
    if hasConversations, !templates.isEmpty { chatTemplate = try combined("chat_template", templates) }
  }

  /// That of one file's bytes; that of several over their digests, weights and order: names do not matter.
  private mutating func dataDigest(
    _ member: String, _ data: [WeightedPath], _ digests: FileDigests
  ) throws -> String {
    if data.count == 1, data[0].weight == 1 { return try digests.sha256(data[0].path) }
    var each: [(name: String, sha256: String)] = []
    for (index, file) in data.enumerated() {
      let place = String(repeating: "0", count: max(0, 6 - "\(index)".count)) + "\(index)"
      each.append(("\(place) \(file.weight)", try digests.sha256(file.path)))
      places[member, default: [:]][each[index].name] = file.path
    }
    files[member] = Dictionary(each.map { ($0.name, $0.sha256) }, uniquingKeysWith: { first, _ in first })
    return FileDigest.combined(each)
  }

  /// The files that decide which ids a text becomes, and which weights an adapter has.
  private static let adapterFiles = [
    "adapters.safetensors", "adapter_model.safetensors", "adapter_config.json", "task_heads.safetensors",
    "task_heads.json",
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
      ("chat_template", "the chat template", chatTemplate, config?.baseModelPath),
    ] + (replayData.map { [("replay_data", "the rehearsed data", $0, config?.replayDataPath)] } ?? [])
      + stageData.sorted { $0.key < $1.key }.map { stage, sha256 in
        (
          Self.member(ofStage: stage), "the data of stage \(stage)", sha256,
          config?.ofStage(stage).trainDataPath
        )
      }
  }

  private static func member(ofStage stage: Int) -> String { "stage_\(stage)_data" }

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
    return (places[member.key].map { $0[name] ?? path } ?? "\(path)/\(name)", now[name], then[name])
  }
}
