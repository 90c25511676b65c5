import JSON

/// A member of a config file that groups keys: `schedule: {lr_schedule: cosine}` says what `lr_schedule: cosine` at the
/// top of the file does, and `schedule: {end: 1e-6}` what `lr_end: 1e-6` does.
public struct ConfigSection: Sendable {
  public let name: String
  /// What the names of its keys may begin with; without it they are members too.
  let prefixes: [String]
  /// Keys of it whose names begin with none of these.
  let others: Set<String>

  /// Those that have keys. No key of a section names a path.
  public static let all: [ConfigSection] = [
    ConfigSection(
      name: "schedule", prefixes: ["lr_", "plateau_"], others: ["learning_rate", "warmup_steps"]),
    ConfigSection(
      name: "adaptation", prefixes: ["adaptation_"],
      others: ["freeze", "unfreeze", "unfreeze_schedule", "layer_lr_decay", "lr_groups"]),
    ConfigSection(name: "sampling", prefixes: ["sampling_"], others: []),
    ConfigSection(name: "curriculum", prefixes: ["curriculum_"], others: []),
    ConfigSection(name: "tasks", prefixes: ["tasks_"], others: ["tasks"]),
  ].filter { !$0.keys.isEmpty }

  /// The same config with the keys of its sections outside of them.
  ///
  /// - Throws: as reading the config does, for a name that is no key.
  public static func flattened(_ config: JSONObject, file: String) throws(ConfigError) -> JSONObject {
    guard config.members.contains(where: { ConfigSection.of($0) != nil }) else { return config }
    return JSONObject(
      try ConfigMembers(config, ConfigSource(file: file)).members.map {
        JSONObject.Member(key: $0.key.name, value: $0.value)
      })
  }

  /// Nil if the member of a file is none: a section is an object, and a key of its name need not be.
  static func of(_ member: JSONObject.Member) -> ConfigSection? {
    member.value.object == nil ? nil : all.first { $0.name == member.key }
  }

  /// Its keys, in the order of all.
  public var keys: [ConfigKey] { NestedLearningConfig.keys.filter(contains) }

  private func contains(_ key: ConfigKey) -> Bool {
    others.contains(key.name) || prefixes.contains { key.name.hasPrefix($0) }
  }

  /// The key that a member of the section stands for: by its whole name, or by what follows a prefix.
  func key(named member: String) -> ConfigKey? {
    let keys = keys
    return keys.first { $0.name == member }
      ?? keys.first { key in prefixes.contains { $0 + member == key.name } }
  }
}

/// What a config file says, without its sections.
struct ConfigMembers {
  struct Member {
    let key: ConfigKey
    let value: JSONValue
    let line: Int?
  }

  private(set) var members: [Member] = []

  /// - Throws: if a name is no key, or a key has two values.
  init(_ object: JSONObject, _ source: ConfigSource) throws(ConfigError) {
    for member in object.members {
      guard let section = ConfigSection.of(member) else {
        try add(try source.known(member.key, line: member.knownLine), member, source)
        continue
      }
      for inner in member.value.object?.members ?? [] {
        guard let key = section.key(named: inner.key) else {
          let nearest = EditDistance.nearest(to: inner.key, among: section.keys.map(\.name))
          throw source.error(
            "\(section.name).\(inner.key)", "is not a key",
            nearest.map { "the nearest key of this section is \($0)" },
            line: inner.knownLine)
        }
        try add(key, inner, source)
      }
    }
  }

  private mutating func add(
    _ key: ConfigKey, _ member: JSONObject.Member, _ source: ConfigSource
  ) throws(ConfigError) {
    guard !members.contains(where: { $0.key.name == key.name }) else {
      throw source.error(
        key.name, "is given twice, in a section and outside, or under two names", "leave one of them out",
        line: member.knownLine)
    }
    members.append(Member(key: key, value: member.value, line: member.knownLine))
  }
}

extension JSONObject.Member {
  fileprivate var knownLine: Int? { line > 0 ? line : nil }
}
