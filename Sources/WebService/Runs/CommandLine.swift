import JSON
import NestedLearning

/// A config as the command that trains it.
enum CommandLine {
  static func of(_ config: JSONObject) -> String {
    let flags = NestedLearningConfig.keys.compactMap { key -> String? in
      guard let value = config[key.name], !value.isNull, let words = words(value) else { return nil }
      return key.flag + " " + words.map(quoted).joined(separator: " ")
    }
    return (["nl-coord train"] + flags).joined(separator: " \\\n  ")
  }

  private static func words(_ value: JSONValue) -> [String]? {
    switch value {
    case .null: nil
    case .bool(let isSo): [isSo ? "true" : "false"]
    case .number(let digits): [digits]
    case .string(let text): [text]
    case .array(let items):
      items.flatMap { item -> [String] in
        if let pattern = item["pattern"]?.string, let tier = item["tier"]?.int {
          return ["\(pattern)=\(tier)"]
        }
        if let path = item["path"]?.string { return [path] }
        return words(item) ?? []
      }
    case .object(let object): object.members.map { "\($0.key)=\($0.value.text)" }
    }
  }

  /// As a shell takes it for one word.
  private static func quoted(_ word: String) -> String {
    let plain = word.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte)
        || "-_./,:=+@%".utf8.contains(byte)
    }
    return plain && !word.isEmpty ? word : "'" + word.replacing("'", with: "'\\''") + "'"
  }
}

/// A config as YAML: JSON is a part of it, so that each value stands as JSON behind its key.
enum YAMLText {
  static func of(_ config: JSONObject) -> String {
    NestedLearningConfig.keys.compactMap { key in
      config[key.name].map { "\(key.name): \($0.text)\n" }
    }.joined()
  }
}
