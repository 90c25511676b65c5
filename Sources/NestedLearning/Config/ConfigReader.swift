import JSON

extension NestedLearningConfig {
  /// Reads a config and checks every key, every value and the rules between them.
  ///
  /// - Parameters:
  ///   - text: the whole file.
  ///   - file: its path as the user named it, for errors; its stem is the default of `experiment_name`.
  ///   - overrides: values that win over the file's, such as those of flags, by key.
  /// - Throws: the first error, with file, line, key and remedy.
  public init(
    text: String, file: String, format: ConfigFormat, overrides: [(key: String, value: JSONValue)] = []
  ) throws(ConfigError) {
    let tree = try format.parse(text, file: file)
    guard let object = tree.object else {
      throw ConfigError(
        file: file, reason: "must be an object of keys and values, not \(tree.isNull ? "empty" : tree.kind)",
        remedy: "base_model_path and train_data_path are the least it needs")
    }
    try self.init(object: object, file: file, overrides: overrides)
  }

  /// Reads a config from the members of an object, such as the one that `json()` gave.
  public init(
    object: JSONObject, file: String, overrides: [(key: String, value: JSONValue)] = []
  ) throws(ConfigError) {
    self.init()
    experimentName = Self.stem(of: file)
    var source = ConfigSource(file: file)
    let overridden = Set(overrides.map(\.key))
    for member in try ConfigMembers(object, source).members {
      source.lines[member.key.name] = member.line
      // A flag's value stands for the file's, which may then be anything.
      if !overridden.contains(member.key.name) { try set(member.key, member.value, source) }
    }
    for (name, value) in overrides {
      source.flags.insert(name)
      try set(try source.known(name), value, source)
      flagKeys.insert(name)
    }
    for key in Self.keys where key.isRequired && !explicitKeys.contains(key.name) {
      throw ConfigError(
        file: file, key: key.name, reason: "is missing", remedy: "give it in the file or as \(key.flag)")
    }
    do throws(ConfigValueError) { try applyPreset() } catch {
      throw source.error("preset", error.reason, error.remedy)
    }
    // One tier has one frequency; the default names three.
    if numTiers == 1, !explicitKeys.contains("tier_update_frequencies") { tierUpdateFrequencies = [1] }
    try check(source)
  }

  /// Checks the rules between keys.
  ///
  /// - Parameter file: what errors name.
  public func validate(file: String = "config") throws(ConfigError) { try check(ConfigSource(file: file)) }

  private mutating func set(
    _ key: ConfigKey, _ value: JSONValue, _ source: ConfigSource
  ) throws(ConfigError) {
    do {
      try key.read(&self, value)
    } catch {
      throw source.error(key.name, error.reason, error.remedy, line: error.line)
    }
    explicitKeys.insert(key.name)
  }

  /// The file's name without its folders and its ending.
  static func stem(of file: String) -> String {
    let name = file.split(separator: "/").last.map(String.init) ?? file
    guard let dot = name.lastIndex(of: "."), dot > name.startIndex else { return name }
    return String(name[..<dot])
  }
}

/// Where the values of a config came from.
struct ConfigSource {
  let file: String
  var lines: [String: Int] = [:]
  var flags: Set<String> = []

  init(file: String) { self.file = file }

  func known(_ name: String, line: Int? = nil) throws(ConfigError) -> ConfigKey {
    if let key = NestedLearningConfig.key(named: name) { return key }
    if let section = ConfigSection.all.first(where: { $0.name == name }) {
      throw error(
        name, "is a section, which must be an object of keys and values",
        "its keys are \(section.keys.map(\.name).joined(separator: ", "))", line: line)
    }
    let nearest = EditDistance.nearest(to: name, among: NestedLearningConfig.keys.map(\.name))
    throw error(name, "is not a key", nearest.map { "the nearest key is \($0)" }, line: line)
  }

  func error(_ key: String, _ reason: String, _ remedy: String? = nil, line: Int? = nil) -> ConfigError {
    if flags.contains(key) {
      let flag = NestedLearningConfig.key(named: key)?.flag ?? key
      return ConfigError(file: "the command line", key: flag, reason: reason, remedy: remedy)
    }
    return ConfigError(file: file, line: line ?? lines[key], key: key, reason: reason, remedy: remedy)
  }
}
