import JSON

/// One key of a config: its name, what values it takes, its default and what it means.
public struct ConfigKey: Sendable {
  /// What a flag of this key takes.
  public enum Kind: Sendable, Equatable {
    case path, string, integer, number, boolean, integers, strings
    case choice([String])
    /// One of the words, or a number for each tier.
    case choiceOrNumbers([String])
    /// One number, or one for each tier after the first.
    case numbers
    /// `PATTERN=TIER` for each pattern.
    case tierMap
    /// `PATTERN=NUMBER` for each pattern.
    case numberMap
    /// One JSON object each.
    case objects
  }

  /// In snake case, as it stands in a file.
  public let name: String
  public let kind: Kind
  /// What the key means, its unit and range, without the default.
  public let help: String
  public let isRequired: Bool
  let read: @Sendable (inout NestedLearningConfig, JSONValue) throws(ConfigValueError) -> Void
  let write: @Sendable (NestedLearningConfig) -> JSONValue
  /// Puts the paths that are its value through a function; nil for keys that have none.
  let mapPaths: (@Sendable (inout NestedLearningConfig, (String) -> String) -> Void)?

  /// The value in force if neither the file nor a flag gives one; null for none.
  public var defaultValue: JSONValue { write(NestedLearningConfig()) }

  /// In kebab case, as it stands on the command line, e.g. `--batch-size`.
  public var flag: String { "--" + name.split(separator: "_").joined(separator: "-") }

  init(
    _ name: String, _ kind: Kind, _ help: String, isRequired: Bool = false,
    mapPaths: (@Sendable (inout NestedLearningConfig, (String) -> String) -> Void)? = nil,
    read: @escaping @Sendable (inout NestedLearningConfig, JSONValue) throws(ConfigValueError) -> Void,
    write: @escaping @Sendable (NestedLearningConfig) -> JSONValue
  ) {
    self.name = name
    self.kind = kind
    self.help = help
    self.isRequired = isRequired
    self.mapPaths = mapPaths
    self.read = read
    self.write = write
  }
}

/// What is wrong with one value; the reader adds file, line and key.
struct ConfigValueError: Error {
  let reason: String
  var remedy: String?
  /// The line of a part of the value, where it is known better than the key's.
  var line: Int?

  static func type(_ expected: String, _ value: JSONValue) -> ConfigValueError {
    let shown =
      switch value {
      case .array, .object: value.kind
      default: value.text
      }
    return ConfigValueError(reason: "must be \(expected), not \(shown)")
  }
}

// MARK: - Kinds of keys

extension ConfigKey {
  typealias Path<Value> = WritableKeyPath<NestedLearningConfig, Value> & Sendable

  static func path(_ name: String, _ path: Path<String>, _ help: String, isRequired: Bool = false)
    -> ConfigKey
  {
    ConfigKey(
      name, .path, help, isRequired: isRequired,
      mapPaths: { config, change in
        if !config[keyPath: path].isEmpty { config[keyPath: path] = change(config[keyPath: path]) }
      },
      read: { (config, value) throws(ConfigValueError) in
        config[keyPath: path] = try text(value, "a path")
      },
      write: { .string($0[keyPath: path]) })
  }

  static func optionalPath(_ name: String, _ path: Path<String?>, _ help: String) -> ConfigKey {
    ConfigKey(
      name, .path, help,
      mapPaths: { config, change in config[keyPath: path] = config[keyPath: path].map(change) },
      read: { (config, value) throws(ConfigValueError) in
        config[keyPath: path] = value.isNull ? nil : try text(value, "a path")
      },
      write: { $0[keyPath: path].map { .string($0) } ?? .null })
  }

  static func integer(
    _ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>, _ help: String
  ) -> ConfigKey {
    ConfigKey(
      name, .integer, help,
      read: { (config, value) throws(ConfigValueError) in
        config[keyPath: path] = try whole(value, range)
      },
      write: { .number($0[keyPath: path]) })
  }

  /// A number for which `isValid` holds; `expected` says so in words, as in "above 0".
  static func number(
    _ name: String, _ path: Path<Double>, _ expected: String,
    _ isValid: @escaping @Sendable (Double) -> Bool, _ help: String
  ) -> ConfigKey {
    ConfigKey(
      name, .number, help,
      read: { (config, value) throws(ConfigValueError) in
        config[keyPath: path] = try real(value, "a number \(expected)", isValid)
      },
      write: { .number($0[keyPath: path]) })
  }

  static func boolean(_ name: String, _ path: Path<Bool>, _ help: String) -> ConfigKey {
    ConfigKey(
      name, .boolean, help,
      read: { (config, value) throws(ConfigValueError) in
        guard let bool = value.bool else { throw .type("true or false", value) }
        config[keyPath: path] = bool
      },
      write: { .bool($0[keyPath: path]) })
  }

  static func choice<Value: RawRepresentable<String> & CaseIterable & Sendable>(
    _ name: String, _ path: Path<Value>, _ help: String
  ) -> ConfigKey {
    let words = Value.allCases.map(\.rawValue)
    return ConfigKey(
      name, .choice(words), help,
      read: { (config, value) throws(ConfigValueError) in
        guard let word = value.string.flatMap(Value.init(rawValue:)) else {
          throw .type(words.joined(separator: " or "), value)
        }
        config[keyPath: path] = word
      },
      write: { .string($0[keyPath: path].rawValue) })
  }
}

// MARK: - Reading of values

extension ConfigKey {
  static func text(_ value: JSONValue, _ expected: String) throws(ConfigValueError) -> String {
    guard let text = value.string, !text.isEmpty, !text.utf8.contains(0) else { throw .type(expected, value) }
    return text
  }

  static func whole(_ value: JSONValue, _ range: ClosedRange<Int>) throws(ConfigValueError) -> Int {
    guard let number = value.int, range.contains(number) else {
      throw .type("a whole number from \(range.lowerBound) to \(range.upperBound)", value)
    }
    return number
  }

  static func real(
    _ value: JSONValue, _ expected: String, _ isValid: (Double) -> Bool
  ) throws(ConfigValueError) -> Double {
    guard let number = value.double, number.isFinite, isValid(number) else { throw .type(expected, value) }
    return number
  }

  static func list<Item>(
    _ value: JSONValue, _ expected: String, _ item: (JSONValue) throws(ConfigValueError) -> Item
  ) throws(ConfigValueError) -> [Item] {
    guard let values = value.array, !values.isEmpty else { throw .type(expected, value) }
    var items: [Item] = []
    for value in values { items.append(try item(value)) }
    return items
  }
}
