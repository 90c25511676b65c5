import JSON

/// What one task makes of the hidden states that all tasks share, after the last norm.
///
/// Its tensors, with H the model's hidden size, h the head's own, and L labels:
/// - `heads.NAME.dense.weight` [h, H] and `.dense.bias` [h], if it has a hidden layer: gelu(dense(x)), then dropout;
/// - `heads.NAME.score.weight` [L, H or h], as `score` in the classes `…ForSequenceClassification` of transformers;
/// - `heads.NAME.score.bias` [L] of token classification alone, as there.
///
/// Language modelling has none of its own: it is the model's head.
public struct TaskHead: Sendable, Equatable {
  public enum Kind: String, Sendable, CaseIterable {
    /// One label a row, of the hidden state of its last token.
    case classification
    /// A label for each of some tokens.
    case tokenClassification = "token_classification"
    /// The token that follows.
    case languageModeling = "language_modeling"
  }

  /// Tells the tasks of a run apart; in names of tensors.
  public var name: String
  public var kind: Kind
  /// What a label's number stands for; none of language modelling.
  public var labels: [String]
  /// Of a layer between hidden states and scores; nil without.
  public var hiddenSize: Int?
  /// The chance that a number that enters the scores is dropped in training; in [0, 1).
  public var dropout: Float

  public init(
    name: String, kind: Kind, labels: [String], hiddenSize: Int? = nil, dropout: Float = 0
  ) {
    (self.name, self.kind, self.labels) = (name, kind, labels)
    (self.hiddenSize, self.dropout) = (hiddenSize, dropout)
  }

  /// Heads of a model at most.
  public static let most = 64
  /// What the names of all tensors of heads begin with.
  public static let prefix = "heads."
  /// ln σ² of each task, [tasks], where they are learned.
  public static let logVariancesName = "heads.log_variances"

  /// GradNorm: w of each task, [tasks]; the gradients of each task's loss by the last adapted layer, [tasks, values], which is
  /// none of the model's and only travels as a gradient; and the losses of step 1, [tasks].
  public static let weightsName = "heads.task_weights"
  public static let gradientsName = "heads.task_gradients"
  public static let firstLossesName = "heads.task_first_losses"

  func tensorName(_ part: String) -> String { "\(Self.prefix)\(name).\(part)" }

  private var hasBias: Bool { kind == .tokenClassification }

  /// Its tensors, for a model's configuration, names in UTF-8 order.
  public func tensors(of model: ModelConfiguration) -> [ModelConfiguration.TensorShape] {
    guard kind != .languageModeling else { return [] }
    var list: [ModelConfiguration.TensorShape] = []
    if let hiddenSize {
      list.append(.init(name: tensorName("dense.bias"), shape: [hiddenSize]))
      list.append(.init(name: tensorName("dense.weight"), shape: [hiddenSize, model.hiddenSize]))
    }
    if hasBias { list.append(.init(name: tensorName("score.bias"), shape: [labels.count])) }
    list.append(
      .init(name: tensorName("score.weight"), shape: [labels.count, hiddenSize ?? model.hiddenSize]))
    return list
  }

  /// Whether it is what PEFT's forms for one task hold: a layer of scores alone.
  var isScoreAlone: Bool { kind != .languageModeling && hiddenSize == nil }

  /// Whether a name may stand in names of tensors.
  public static func isName(_ name: String) -> Bool {
    !name.isEmpty && name.utf8.count <= 64
      && name.utf8.allSatisfy {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0)
          || (UInt8(ascii: "A")...UInt8(ascii: "Z")).contains($0)
          || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) || $0 == UInt8(ascii: "_")
          || $0 == UInt8(ascii: "-")
      }
  }
}

extension TaskHead {
  public var json: JSONValue {
    var members: JSONObject = ["name": .string(name), "type": .string(kind.rawValue)]
    if kind != .languageModeling { members["labels"] = .strings(labels) }
    members["hidden_size"] = hiddenSize.map { .number($0) }
    if dropout > 0 { members["dropout"] = .number("\(dropout)") }
    return .object(members)
  }

  /// Reads what ``json`` wrote; `file` names the origin in the error.
  public init(json: JSONValue, file: String) throws(ModelError) {
    let reader = ConfigurationReader(json: json, file: file)
    guard let name = json["name"]?.string, Self.isName(name) else {
      throw reader.fault("name", "must be a name of letters, digits, _ and -")
    }
    guard let kind = json["type"]?.string.flatMap(Kind.init) else {
      throw reader.fault("type", "must be \(Kind.allCases.map(\.rawValue).joined(separator: " or "))")
    }
    let labels = json["labels"]?.array ?? []
    guard labels.allSatisfy({ $0.string != nil }), labels.count <= 65_536,
      kind == .languageModeling ? labels.isEmpty : labels.count >= 2
    else {
      throw reader.fault("labels", "must be a list of at least two names, and none of language_modeling")
    }
    let dropout = json["dropout"]?.double ?? 0
    guard dropout >= 0, dropout < 1 else {
      throw reader.fault("dropout", "must be a number from 0 to below 1")
    }
    let hiddenSize = try reader.count("hidden_size")
    guard (hiddenSize ?? 1) <= 65_536, kind != .languageModeling || hiddenSize == nil && dropout == 0 else {
      throw reader.fault("hidden_size", "must be at most 65536, and is not for language_modeling")
    }
    self.init(
      name: name, kind: kind, labels: labels.compactMap(\.string), hiddenSize: hiddenSize,
      dropout: Float(dropout))
  }
}
