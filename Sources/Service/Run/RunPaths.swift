import Files
import JSON
import NestedLearning

/// Where a run's model, data and adapter lie now, if they were moved since it began. They are recognised by their
/// SHA-256, so that the path changes nothing.
public struct RunPaths: Sendable {
  /// By config key; absolute.
  private let values: [String: String]

  /// The keys, with what each names. `output_path` is not given: the run's folder says where it is.
  static let keys: [(name: String, what: String)] = [
    ("base_model_path", "the base model"), ("train_data_path", "the training data"),
    ("val_data_path", "the validation data"), ("adapter_path", "the adapter that training started from"),
  ]

  /// Config keys that name places, by which two configs of one run may differ.
  static let keysOfPlaces = keys.map(\.name) + ["output_path"]

  /// - Parameter values: new paths by config key, relative to the working folder; nil for what was not moved.
  public init(_ values: [String: String?] = [:]) {
    self.values = values.compactMapValues { $0 }.mapValues(FileSystem.absolute)
  }

  public var isEmpty: Bool { values.isEmpty }

  /// A config with these paths in it.
  func applied(to config: JSONObject) -> JSONObject {
    var config = config
    for (key, value) in values { config[key] = Self.moved(config[key], to: value) }
    return config
  }

  /// Several files that now lie in one folder, under the names that they had; or one path.
  private static func moved(_ recorded: JSONValue?, to path: String) -> JSONValue {
    guard let list = recorded?.array, FileSystem.kind(path) == .folder else { return .string(path) }
    return .array(
      list.map { entry in
        var entry = entry.object ?? JSONObject()
        entry["path"] = (entry["path"]?.string).map { .string(path + "/" + FileSystem.name(of: $0)) }
        return .object(entry)
      })
  }

  /// The paths of a config's value: one, or those of a list.
  private static func paths(_ value: JSONValue?) -> [String] {
    value?.string.map { [$0] } ?? (value?.array ?? []).compactMap { $0["path"]?.string }
  }

  /// - Throws: `ServiceError` that names what is not where the run's config says, and how to say where it is.
  static func checkAllExist(_ config: NestedLearningConfig, folder: String) throws {
    let object = config.json().object ?? JSONObject()
    let missing = keys.compactMap { key in
      paths(object[key.name]).first { FileSystem.kind($0) == nil }.map { (key.name, key.what, $0) }
    }
    guard !missing.isEmpty else { return }
    let places = missing.map { "\($0.1) is not at \($0.2) (\($0.0))" }.joined(separator: ", and ")
    let flags = missing.map { "--" + $0.0.replacing("_", with: "-") + " PATH" }.joined(separator: " ")
    throw ServiceError(
      "the run in \(folder) cannot go on: \(places)",
      remedy:
        "if it was moved, say where it is now: nl-coord resume \(folder) \(flags); it is recognised by its SHA-256"
    )
  }
}
