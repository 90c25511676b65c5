import JSON
import Yams

/// The two notations of a config file.
public enum ConfigFormat: String, Sendable, CaseIterable {
  case json, yaml

  /// By the ending of the file's name: `.json`, `.yaml`, `.yml`; nil for any other.
  public init?(file: String) {
    let name = file.lowercased()
    if name.hasSuffix(".json") {
      self = .json
    } else if name.hasSuffix(".yaml") || name.hasSuffix(".yml") {
      self = .yaml
    } else {
      return nil
    }
  }

  /// The text's tree, with the line of every key.
  func parse(_ text: String, file: String) throws(ConfigError) -> JSONValue {
    // A byte-order mark is no part of the text, though editors write one.
    let text = text.unicodeScalars.first == "\u{FEFF}" ? String(text.unicodeScalars.dropFirst()) : text
    switch self {
    case .json:
      do {
        return try JSONValue(parsing: text)
      } catch {
        throw ConfigError(
          file: file, line: error.line, reason: "not JSON: \(error.reason) (column \(error.column))")
      }
    case .yaml: return try YAMLReader.read(text, file: file)
    }
  }
}

/// YAML to a JSON tree, by the core schema of YAML 1.2: `yes`, `no` and dates are strings.
private enum YAMLReader {
  /// More than any config has; aliases inside aliases can stand for billions.
  static let maximumNodes = 100_000

  static func read(_ text: String, file: String) throws(ConfigError) -> JSONValue {
    let root: Node?
    do {
      root = try Yams.compose(yaml: text)
    } catch let error as YamlError {
      throw ConfigError(file: file, line: line(of: error), reason: "not YAML: \(reason(of: error))")
    } catch {
      throw ConfigError(file: file, reason: "not YAML: \(error)")
    }
    var nodesLeft = maximumNodes
    return try root.map { (node) throws(ConfigError) in try value(node, file, &nodesLeft) } ?? .null
  }

  static func value(_ node: Node, _ file: String, _ nodesLeft: inout Int) throws(ConfigError) -> JSONValue {
    nodesLeft -= 1
    guard nodesLeft > 0 else {
      throw ConfigError(file: file, line: node.mark?.line, reason: "more than \(maximumNodes) values")
    }
    switch node {
    case .scalar(let scalar): return self.scalar(scalar)
    case .sequence(let sequence):
      var items: [JSONValue] = []
      for item in sequence { items.append(try value(item, file, &nodesLeft)) }
      return .array(items)
    case .mapping(let mapping):
      var members: [JSONObject.Member] = []
      for (key, item) in mapping {
        guard case .scalar(let name) = key else {
          throw ConfigError(file: file, line: key.mark?.line, reason: "a key that is not a word")
        }
        let line = key.mark?.line ?? 0
        members.append(.init(key: name.string, value: try value(item, file, &nodesLeft), line: line))
      }
      return .object(JSONObject(members))
    case .alias(let alias):
      throw ConfigError(file: file, line: alias.mark?.line, reason: "an alias without its anchor")
    }
  }

  static func scalar(_ scalar: Node.Scalar) -> JSONValue {
    guard scalar.style == .plain, scalar.tag.description != Tag.Name.str.rawValue else {
      return .string(scalar.string)
    }
    switch scalar.string {
    case "", "~", "null", "Null", "NULL": return .null
    case "true", "True", "TRUE": return .bool(true)
    case "false", "False", "FALSE": return .bool(false)
    default: return number(scalar.string) ?? .string(scalar.string)
    }
  }

  /// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, in the digits that JSON would use.
  static func number(_ text: String) -> JSONValue? {
    let allowed = text.utf8.allSatisfy { byte in
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "."),
        UInt8(ascii: "e"), UInt8(ascii: "E"):
        true
      default: false
      }
    }
    guard allowed, text.utf8.contains(where: { $0 >= 0x30 && $0 <= 0x39 }) else { return nil }
    if let whole = Int(text) { return .number(whole) }
    guard let double = Double(text), double.isFinite else { return nil }
    return .number(double)
  }

  static func line(of error: YamlError) -> Int? {
    switch error {
    case .scanner(_, _, let mark, _), .parser(_, _, let mark, _), .composer(_, _, let mark, _): mark.line
    case .duplicatedKeysInMapping(_, let context): context.mark.line
    default: nil
    }
  }

  static func reason(of error: YamlError) -> String {
    switch error {
    case .scanner(_, let problem, _, _), .parser(_, let problem, _, _), .composer(_, let problem, _, _),
      .reader(let problem, _, _, _):
      problem
    case .duplicatedKeysInMapping(let keys, _):
      "a key stands twice: " + keys.sorted().joined(separator: ", ")
    default: "\(error)"
    }
  }
}
