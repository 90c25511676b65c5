import Foundation
import JSON
import NestedLearning
import Service

/// Which paths a request may name: what lies below the configured folders, symbolic links followed. A path is absolute,
/// or relative to the folder of its kind.
struct PathPolicy: Sendable {
  let models: String
  let data: String
  let runs: String

  init(_ options: WebOptions) { (models, data, runs) = (options.models, options.data, options.runs) }

  /// Config keys that name paths, with the folders that each is looked for in.
  private func folders(of key: String) -> [String] {
    switch key {
    case "base_model_path": [models, runs]
    case "adapter_path": [runs, models]
    default: [data]
    }
  }

  /// A request's config with every path absolute, and checked.
  ///
  /// - Throws: `RunRequestError` that names the key.
  func resolved(_ config: JSONObject) throws -> JSONObject {
    var config = try ConfigSection.flattened(config, file: "the request")
    for key in NestedLearningConfig.keys where key.kind == .path && key.name != "output_path" {
      guard let value = config[key.name], !value.isNull else { continue }
      config[key.name] = try resolved(value, key.name)
    }
    if let stages = config["curriculum_stages"]?.array {
      config["curriculum_stages"] = .array(try stages.map(resolved(stage:)))
    }
    if let output = config["output_path"], !output.isNull {
      guard let path = output.string, RealPath.of(path) == runs else {
        throw RunRequestError(
          .invalid, "output_path is not the folder of runs of this service", field: "output_path",
          hint: "leave it out")
      }
    }
    config["output_path"] = .string(runs)
    return config
  }

  /// A stage of a curriculum, which may have data of its own; texts name none.
  private func resolved(stage: JSONValue) throws -> JSONValue {
    guard var object = stage.object, let data = object["data"], !data.isNull else { return stage }
    object["data"] = try resolved(data, "curriculum_stages")
    return .object(object)
  }

  /// One path, or a list of paths, or of objects with a `path`.
  private func resolved(_ value: JSONValue, _ key: String) throws -> JSONValue {
    switch value {
    case .string(let path): return .string(try resolved(path, key))
    case .array(let items): return .array(try items.map { try resolved($0, key) })
    case .object(var object):
      guard let path = object["path"]?.string else { return value }
      object["path"] = .string(try resolved(path, key))
      return .object(object)
    default: return value
    }
  }

  /// - Throws: `RunRequestError` if there is nothing of that name within the folders: whether there is something without
  ///   is not told.
  func resolved(_ path: String, _ key: String) throws -> String {
    let folders = folders(of: key)
    let places = path.hasPrefix("/") ? [path] : folders.map { $0 + "/" + path }
    for place in places {
      if let real = RealPath.of(place), folders.contains(where: { Self.isWithin(real, $0) }) { return real }
    }
    throw RunRequestError(
      .invalid, "\(path) is not there, or not below \(folders.joined(separator: " or "))", field: key,
      hint: key == "adapter_path" || key == "base_model_path"
        ? "GET /nested-learning/\(key == "adapter_path" ? "adapters" : "models") lists what is"
        : "upload it, or see what GET /nested-learning/datasets lists")
  }

  static func isWithin(_ path: String, _ folder: String) -> Bool {
    path == folder || path.hasPrefix(folder == "/" ? "/" : folder + "/")
  }

  /// - Throws: `RunRequestError` unless a name is one of a folder right below the runs.
  func run(_ name: String) throws -> String {
    guard Self.isName(name) else {
      throw RunRequestError(.unknown, "there is no run of that name", field: "experiment_name")
    }
    return name
  }

  static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 200 && !name.hasPrefix(".")
      && !name.utf8.contains { $0 == UInt8(ascii: "/") || $0 < 0x20 || $0 == 0x7f }
  }
}
