import Dataset
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
    guard let file = file.map(FileSystem.expandingTilde) else {
      var config = try NestedLearningConfig(text: "{}", file: "run", format: .json, overrides: overrides)
      resolve(&config, fileFolder: working, workingFolder: working)
      return config
    }
    let data: [UInt8]
    do { data = try AtomicFile.read(file) } catch {
      throw ServiceError(
        "cannot read the config \(file): \(error.reason)", remedy: "check the path given with --config")
    }
    // UTF-16 without its mark may pass as UTF-8 with zeros in it.
    let other = OtherFormat(start: Array(data.prefix(64)))
    guard other == nil, let text = String(validating: data, as: UTF8.self) else {
      throw ServiceError(
        "\(file) is \(other?.name ?? "not UTF-8 text")", remedy: other?.remedy ?? "save it as UTF-8")
    }
    guard let format = ConfigFormat(file: file) else {
      throw ServiceError(
        "\(file): a config is a .json, .yaml or .yml file", remedy: "rename it to what it is")
    }
    var config = try NestedLearningConfig(text: text, file: file, format: format, overrides: overrides)
    resolve(&config, fileFolder: FileSystem.folder(of: FileSystem.absolute(file)), workingFolder: working)
    return config
  }

  /// Absolute paths, without `~` and `..`.
  private static func resolve(
    _ config: inout NestedLearningConfig, fileFolder: String, workingFolder: String
  ) {
    config.mapPaths(FileSystem.expandingTilde)
    config.resolvePaths(fileFolder: fileFolder, workingFolder: workingFolder)
    config.mapPaths(FileSystem.absolute)
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
    let config = try paths.config(members, file: folder.configurationFile)
    return (ArithmeticChoice.ofOldRun(config), inputs)
  }

  /// Writes the places of a config into the record of its run, which has been found to be the same otherwise.
  static func recordPlaces(of plan: RunPlan, in run: OpenRun) throws {
    var recorded = try run.folder.configuration().object ?? JSONObject()
    let now = plan.config.json().object ?? JSONObject()
    let before = JSONValue.object(recorded)
    for key in NestedLearningConfig.keysWithPaths { recorded[key] = now[key] }
    let after = JSONValue.object(recorded)
    guard after != before else { return }
    try run.ledger.record(baseModelPath: plan.folder.path, configuration: after)
    try run.folder.write(configuration: after)
  }
}
