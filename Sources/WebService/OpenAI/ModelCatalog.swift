import Files
import Foundation
import JSON
import Service

/// `/v1/models`: base models, by their paths below the folder of models, and what runs have made of them, by their paths
/// below the folder of runs.
struct ModelCatalog: Sendable {
  /// What an id stands for.
  struct Model: Sendable {
    let id: String
    /// The base model's folder; absolute.
    let base: String
    /// The adapter's folder; nil for a model by itself.
    let adapter: String?
  }

  let policy: PathPolicy
  let desk: RunDesk

  var routes: [Route] {
    [
      .json(.get, "/v1/models") { _ in ["object": "list", "data": .array(all)] },
      Route(.get, "/v1/models/{model}", pattern: "/v1/models/**") { asked in
        Answer.json(try await Disk.run { try described(asked.rest) })
      },
    ]
  }

  private var all: [JSONValue] {
    let library = Library(policy: policy)
    return ((library.models.array ?? []) + (library.adapters.array ?? [])).compactMap { item in
      guard let id = item["id"]?.string, let path = item["path"]?.string else { return nil }
      return Self.json(id: id, path: path)
    }
  }

  private func described(_ id: String) throws -> JSONValue {
    let model = try find(id)
    return Self.json(id: id, path: model.adapter ?? model.base)
  }

  private static func json(id: String, path: String) -> JSONValue {
    let files = ["/config.json", "/adapter_config.json"].compactMap { FileSystem.modificationTime(path + $0) }
    return [
      "id": .string(id), "object": "model", "created": .number(Int(files.first ?? 0)),
      "owned_by": "nested-learning",
    ]
  }

  /// - Throws: `OpenAIError` (404, `model_not_found`) if there is no such model.
  func find(_ id: String) throws -> Model {
    guard !id.isEmpty, let path = try? policy.resolved(id, "base_model_path") else { throw Self.unknown(id) }
    if Self.json(path + "/config.json")?["model_type"]?.string != nil {
      return Model(id: id, base: path, adapter: nil)
    }
    guard let config = Self.json(path + "/adapter_config.json") else { throw Self.unknown(id) }
    return Model(id: id, base: try base(of: path, config), adapter: path)
  }

  /// What the run was made from that the adapter is of; else what the adapter says.
  private func base(of adapter: String, _ config: JSONValue) throws -> String {
    if let run = run(of: adapter), let recorded = try? RecordedRun(folder: desk.folder(of: run)) {
      return recorded.config.baseModelPath
    }
    let named = (config["model"] ?? config["base_model_name_or_path"])?.string ?? ""
    guard let path = try? policy.resolved(named, "base_model_path") else {
      throw OpenAIError.field("model", "the base model of the adapter is not below the folders: \(named)")
    }
    return path
  }

  /// The run that a folder lies in.
  private func run(of path: String) -> String? {
    guard path.hasPrefix(policy.runs + "/") else { return nil }
    return path.dropFirst(policy.runs.count + 1).split(separator: "/").first.map(String.init)
  }

  /// The id of a base model's folder.
  func id(ofBase path: String) -> String {
    path.hasPrefix(policy.models + "/") ? String(path.dropFirst(policy.models.count + 1)) : path
  }

  private static func unknown(_ id: String) -> OpenAIError {
    OpenAIError(
      .notFound, "there is no model \(id.prefix(200)) (GET /v1/models lists those that there are)",
      param: "model", code: "model_not_found")
  }

  private static func json(_ path: String) -> JSONValue? {
    guard let size = FileSystem.size(path), size < 1 << 20, let bytes = try? AtomicFile.read(path) else {
      return nil
    }
    return try? JSONValue(parsing: bytes)
  }
}
