import Files
import Foundation
import JSON
import NestedLearning

/// Reads a run's config from a file and from flags.
public enum RunConfig {
  /// - Parameter file: JSON (`.json`) or YAML; nil for flags alone.
  /// - Parameter overrides: values given as flags; relative paths among them are relative to the working folder.
  /// - Returns: every value, defaults included, and absolute paths.
  /// - Throws: `ConfigError` that names file, line and key.
  public static func read(file: String?, overrides: [(key: String, value: JSONValue)]) throws
    -> NestedLearningConfig
  {
    let working = FileManager.default.currentDirectoryPath
    guard let file else {
      var config = try NestedLearningConfig(text: "{}", file: "run", format: .json, overrides: overrides)
      config.resolvePaths(fileFolder: working, workingFolder: working)
      return config
    }
    let data: [UInt8]
    do { data = try AtomicFile.read(file) } catch {
      throw ServiceError(
        "cannot read the config \(file): \(error.reason)", remedy: "check the path given with --config")
    }
    guard let text = String(validating: data, as: UTF8.self) else {
      throw ServiceError("\(file) is not UTF-8 text")
    }
    guard let format = ConfigFormat(file: file) else {
      throw ServiceError(
        "\(file): a config is a .json, .yaml or .yml file", remedy: "rename it to what it is")
    }
    var config = try NestedLearningConfig(text: text, file: file, format: format, overrides: overrides)
    let folder = URL(fileURLWithPath: file).deletingLastPathComponent().path
    config.resolvePaths(fileFolder: folder, workingFolder: working)
    return config
  }
}

extension RunConfig {
  /// The config of an existing run, and the digests of what it was started from.
  ///
  /// - Parameter paths: where its model and data lie now.
  static func recorded(
    _ folder: RunFolder, paths: RunPaths = RunPaths()
  ) throws -> (config: NestedLearningConfig, inputs: JSONValue) {
    var members = try folder.configuration().object ?? JSONObject()
    let inputs = members["inputs_sha256"] ?? nil
    members["inputs_sha256"] = nil
    return (
      try NestedLearningConfig(object: paths.applied(to: members), file: folder.configurationFile), inputs
    )
  }

  /// Writes the places of a config into the record of its run, which has been found to be the same otherwise.
  static func recordPlaces(of plan: RunPlan, in run: OpenRun) throws {
    var recorded = try run.folder.configuration().object ?? JSONObject()
    let now = plan.config.json().object ?? JSONObject()
    let before = JSONValue.object(recorded)
    for key in RunPaths.keysOfPlaces { recorded[key] = now[key] }
    let after = JSONValue.object(recorded)
    guard after != before else { return }
    try run.ledger.record(baseModelPath: plan.folder.path, configuration: after)
    try run.folder.write(configuration: after)
  }
}
