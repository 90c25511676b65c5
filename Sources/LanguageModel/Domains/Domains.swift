import JSON

/// What of a model depends on the domain that a row is of: where its text comes from, or what it is about.
///
/// Its tensors, with H the model's hidden size and D domains:
/// - `discriminator.0.weight` [256, H], `.1.weight` [64, 256], `.2.weight` [D, 64], each with a `.bias`, where a
///   discriminator tells the domains apart (Ganin et al. 2016);
/// - of each norm N that adapts itself `N.domains.NAME.scale` [H] and `.shift` [H], by which N's output is multiplied and
///   to which it is added for tokens of the domain. They begin with 1 and 0, so that they change nothing.
public struct Domains: Sendable, Equatable {
  /// Which norms of hidden states adapt themselves to the domain.
  public enum Norms: String, Sendable, CaseIterable {
    case none
    /// The one after the last layer.
    case final
    /// That, and the two of each layer.
    case all
  }

  /// In the order in which rows number them.
  public var names: [String]
  /// Whether a discriminator learns to tell them apart, and the transformer not to let it.
  public var hasDiscriminator: Bool
  public var norms: Norms
  /// The key of a data row that names its domain.
  public var field: String

  public init(
    names: [String], hasDiscriminator: Bool = false, norms: Norms = .none, field: String = "domain"
  ) {
    (self.names, self.hasDiscriminator, self.norms) = (names, hasDiscriminator, norms)
    self.field = field
  }

  /// Whether hidden states depend on the domain of their row.
  public var adaptsNorms: Bool { norms != .none }

  /// Domains of a model at most.
  public static let most = 256
  /// The widths between hidden states and scores.
  static let discriminatorWidths = [256, 64]
  static let discriminatorPrefix = "discriminator."
  /// What stands in names of tensors between a norm and a domain.
  static let infix = ".domains."

  static func isOfDiscriminator(_ name: String) -> Bool { name.hasPrefix(discriminatorPrefix) }
  static func isOfNorm(_ name: String) -> Bool { name.contains(infix) }
  /// Whether a tensor is one of these.
  public static func owns(_ name: String) -> Bool { isOfDiscriminator(name) || isOfNorm(name) }

  /// Its tensors, for a model's configuration.
  func tensors(of model: ModelConfiguration) -> [ModelConfiguration.TensorShape] {
    discriminatorTensors(of: model) + normTensors(of: model)
  }

  private func discriminatorTensors(of model: ModelConfiguration) -> [ModelConfiguration.TensorShape] {
    guard hasDiscriminator else { return [] }
    let widths = [model.hiddenSize] + Self.discriminatorWidths + [names.count]
    return zip(widths, widths.dropFirst()).enumerated().flatMap { place, width in
      let name = "\(Self.discriminatorPrefix)\(place)"
      return [
        ModelConfiguration.TensorShape(name: name + ".bias", shape: [width.1]),
        ModelConfiguration.TensorShape(name: name + ".weight", shape: [width.1, width.0]),
      ]
    }
  }

  func normTensors(of model: ModelConfiguration) -> [ModelConfiguration.TensorShape] {
    adaptedNorms(of: model).flatMap { norm in
      names.flatMap { name in
        ["scale", "shift"].map {
          ModelConfiguration.TensorShape(
            name: "\(norm)\(Self.infix)\(name).\($0)", shape: [model.hiddenSize])
        }
      }
    }
  }

  /// Their names in the checkpoint, without `.weight`.
  private func adaptedNorms(of model: ModelConfiguration) -> [String] {
    switch norms {
    case .none: []
    case .final: ["model.norm"]
    case .all:
      (0..<model.layerCount).flatMap { layer in
        ["input_layernorm", "post_attention_layernorm"].map { "model.layers.\(layer).\($0)" }
      } + ["model.norm"]
    }
  }

  /// What its tensors begin with: the discriminator uniform in ±1/√in, as PyTorch's `nn.Linear` begins, scales with 1,
  /// shifts with 0.
  public func freshTensors(model: ModelConfiguration, seed: UInt64) -> [String: HostTensor] {
    var tensors: [String: HostTensor] = [:]
    var inputs = model.hiddenSize
    for tensor in discriminatorTensors(of: model) {
      tensors[tensor.name] = TrainableModel.freshHead(tensor, inputs: inputs, seed: seed)
      if tensor.name.hasSuffix(".weight") { inputs = tensor.shape[0] }
    }
    for tensor in normTensors(of: model) {
      let value: Float = tensor.name.hasSuffix(".scale") ? 1 : 0
      tensors[tensor.name] = HostTensor(
        shape: tensor.shape, values: [Float](repeating: value, count: model.hiddenSize))
    }
    return tensors
  }
}

extension Domains {
  public var json: JSONValue {
    var members: JSONObject = ["names": .strings(names)]
    if hasDiscriminator { members["discriminator"] = true }
    if adaptsNorms { members["norms"] = .string(norms.rawValue) }
    if field != "domain" { members["field"] = .string(field) }
    return .object(members)
  }

  /// Reads what ``json`` wrote; `file` names the origin in the error.
  public init(json: JSONValue, file: String) throws(ModelError) {
    let reader = ConfigurationReader(json: json, file: file)
    let names = (json["names"]?.array ?? []).compactMap(\.string)
    guard names.count == json["names"]?.array?.count, (1...Self.most).contains(names.count),
      Set(names).count == names.count, names.allSatisfy(TaskHead.isName)
    else {
      throw reader.fault("names", "must be up to \(Self.most) names of letters, digits, _ and -, each once")
    }
    guard let norms = Norms(rawValue: json["norms"]?.string ?? Norms.none.rawValue) else {
      throw reader.fault("norms", "must be \(Norms.allCases.map(\.rawValue).joined(separator: " or "))")
    }
    self.init(
      names: names, hasDiscriminator: try reader.bool("discriminator", default: false), norms: norms,
      field: json["field"]?.string ?? "domain")
  }
}
