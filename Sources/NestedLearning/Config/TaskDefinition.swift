import JSON

/// One of the `tasks` that share a transformer.
public struct TaskDefinition: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    /// One label a row, of the hidden state of its last token.
    case classification
    /// A label for each word.
    case tokenClassification = "token_classification"
    /// The token that follows; the head is the model's own.
    case languageModeling = "language_modeling"
  }

  /// What rows name it by, and tensors.
  public var name: String
  public var kind: Kind
  /// At least two; none of language modelling.
  public var labels: [String]
  /// Of a layer between hidden states and scores; nil without.
  public var hiddenSize: Int?
  /// The chance that a number that enters the scores is dropped in training; from 0 to below 1.
  public var dropout: Double

  public init(
    name: String, kind: Kind, labels: [String] = [], hiddenSize: Int? = nil, dropout: Double = 0
  ) {
    (self.name, self.kind, self.labels) = (name, kind, labels)
    (self.hiddenSize, self.dropout) = (hiddenSize, dropout)
  }

  private static let keys = ["name", "type", "labels", "hidden_size", "dropout"]

  init(_ json: JSONValue) throws(ConfigValueError) {
    guard let object = json.object else {
      throw .type(
        #"an object such as {"name": "topic", "type": "classification", "labels": ["a", "b"]}"#, json)
    }
    let line = object.members.first.flatMap { $0.line > 0 ? $0.line : nil }
    func fault(_ reason: String, _ remedy: String? = nil) -> ConfigValueError {
      ConfigValueError(reason: reason, remedy: remedy, line: line)
    }
    if let other = object.members.first(where: { !Self.keys.contains($0.key) }) {
      throw fault("has an unknown key \"\(other.key)\"", "a task has \(Self.keys.joined(separator: ", "))")
    }
    guard let name = json["name"]?.string, Self.isName(name) else {
      throw fault("must give each task a name of letters, digits, _ and -, of at most 64")
    }
    let kinds = Kind.allCases.map(\.rawValue).joined(separator: " or ")
    guard let kind = json["type"]?.string.flatMap(Kind.init) else {
      throw fault("must give task \(name) a type: \(kinds)")
    }
    let labels = json["labels"].flatMap { $0.isNull ? nil : $0 }?.array ?? []
    let names = labels.compactMap(\.string)
    guard names.count == labels.count, Set(names).count == names.count, names.count <= 65_536 else {
      throw fault("must give task \(name) labels that are different texts")
    }
    guard (kind == .languageModeling) == names.isEmpty, names.count != 1 else {
      throw fault(
        kind == .languageModeling
          ? "gives task \(name) labels, and language_modeling has none"
          : "must give task \(name) at least two labels")
    }
    var hiddenSize: Int?
    if let value = json["hidden_size"], !value.isNull { hiddenSize = try ConfigKey.whole(value, 1...65_536) }
    var dropout = 0.0
    if let value = json["dropout"], !value.isNull {
      dropout = try ConfigKey.real(value, "a dropout from 0 to below 1") { $0 >= 0 && $0 < 1 }
    }
    guard kind != .languageModeling || hiddenSize == nil && dropout == 0 else {
      throw fault(
        "gives task \(name) a hidden_size or dropout, and language_modeling has the model's own head")
    }
    self.init(name: name, kind: kind, labels: names, hiddenSize: hiddenSize, dropout: dropout)
  }

  static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 64
      && name.unicodeScalars.allSatisfy {
        ("a"..."z").contains($0) || ("A"..."Z").contains($0) || ("0"..."9").contains($0) || $0 == "_"
          || $0 == "-"
      }
  }

  var json: JSONValue {
    var members: JSONObject = ["name": .string(name), "type": .string(kind.rawValue)]
    if kind != .languageModeling { members["labels"] = .strings(labels) }
    members["hidden_size"] = hiddenSize.map { .number($0) }
    if dropout > 0 { members["dropout"] = .number(dropout) }
    return .object(members)
  }
}
