import JSON

/// Which matrices a LoRA adapter changes, and how strongly: y = Wx + s·B(A(dropout(x))).
public struct LoRASpecification: Sendable, Equatable {
  /// r, at least 1.
  public var rank: Int
  public var alpha: Double
  /// s = α/√r instead of α/r.
  public var useRSLoRA: Bool
  /// The chance that a number that enters A is dropped in training; in [0, 1).
  public var dropout: Float
  /// Names of projections, as in `q_proj`, in the order of ``Projection``.
  public var targetModules: [String]
  /// The layers that are adapted, ascending.
  public var layers: [Int]

  /// s
  public var scale: Float {
    let rank = Double(rank)
    return Float(useRSLoRA ? alpha / rank.squareRoot() : alpha / rank)
  }

  public init(
    rank: Int, alpha: Double, useRSLoRA: Bool = false, dropout: Float = 0, targetModules: [String],
    layers: [Int]
  ) {
    self.rank = rank
    self.alpha = alpha
    self.useRSLoRA = useRSLoRA
    self.dropout = dropout
    let known = Projection.allCases.map(\.rawValue)
    self.targetModules = known.filter(targetModules.contains) + targetModules.filter { !known.contains($0) }
    self.layers = layers.sorted()
  }

  /// The adapted projections; a name in `targetModules` that is no projection is passed over (see ``check(for:file:)``).
  public var projections: [Projection] { targetModules.compactMap(Projection.init) }

  /// Fails if this does not fit a model: an unknown projection, none at all, a layer the model does not have, or a
  /// number out of range. `file` names the origin in the error.
  public func check(for model: ModelConfiguration, file: String) throws(ModelError) {
    func fault(_ key: String, _ reason: String) -> ModelError { ModelError(file: file, name: key, reason) }
    for name in targetModules where Projection(rawValue: name) == nil {
      let known = Projection.allCases.map(\.rawValue).joined(separator: ", ")
      throw fault("target_modules", "\"\(name)\" is not a projection of this model; these are \(known)")
    }
    guard !targetModules.isEmpty else { throw fault("target_modules", "names no projection") }
    guard Set(targetModules).count == targetModules.count else {
      throw fault("target_modules", "names a projection twice")
    }
    guard (1...65536).contains(rank) else { throw fault("rank", "is \(rank); it must be from 1 to 65536") }
    guard alpha.isFinite, alpha > 0, scale.isFinite, scale > 0 else {
      throw fault("alpha", "is \(alpha); it must be a number above 0")
    }
    guard dropout >= 0, dropout < 1 else {
      throw fault("dropout", "is \(dropout); it must be from 0 to below 1")
    }
    guard !layers.isEmpty, Set(layers).count == layers.count,
      layers.allSatisfy({ (0..<model.layerCount).contains($0) })
    else { throw fault("layers", "are \(layers), but the model has the layers 0 to \(model.layerCount - 1)") }
  }

  /// The tensors of the adapter: `….lora_a` [r, in] and `….lora_b` [r, out], names in UTF-8 order.
  public func tensors(of model: ModelConfiguration) -> [ModelConfiguration.TensorShape] {
    var list: [ModelConfiguration.TensorShape] = []
    for layer in layers {
      for projection in projections {
        let module = projection.module(layer: layer)
        list.append(.init(name: module + ".lora_a", shape: [rank, model.inputSize(projection)]))
        list.append(.init(name: module + ".lora_b", shape: [rank, model.outputSize(projection)]))
      }
    }
    return list.sorted { utf8Ascending($0.name, $1.name) }
  }
}

extension LoRASpecification {
  public func json() -> JSONValue {
    [
      "rank": .number(rank), "alpha": .number(alpha), "use_rslora": .bool(useRSLoRA),
      "dropout": .number(Double(dropout)), "target_modules": .strings(targetModules),
      "layers": .numbers(layers),
    ]
  }

  /// Reads what ``json()`` wrote; `file` names the origin in the error.
  public init(json: JSONValue, file: String) throws(ModelError) {
    let reader = ConfigurationReader(json: json, file: file)
    guard let modules = reader.value("target_modules")?.array, modules.allSatisfy({ $0.string != nil }) else {
      throw reader.fault("target_modules", "must be a list of names")
    }
    guard let layers = reader.value("layers")?.array, layers.allSatisfy({ $0.int != nil }) else {
      throw reader.fault("layers", "must be a list of layer numbers")
    }
    guard let dropout = reader.value("dropout")?.double, dropout >= 0, dropout < 1 else {
      throw reader.fault("dropout", "must be a number from 0 to below 1")
    }
    self.init(
      rank: try reader.requiredCount("rank"), alpha: try reader.requiredPositive("alpha"),
      useRSLoRA: try reader.bool("use_rslora", default: false), dropout: Float(dropout),
      targetModules: modules.compactMap(\.string), layers: layers.compactMap(\.int))
  }
}
