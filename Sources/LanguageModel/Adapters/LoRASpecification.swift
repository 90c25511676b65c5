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
  /// Modules of these projections in these layers that are not adapted.
  public var excluded: Set<LoRAModule> = []
  /// The ranks of modules that have another than `rank`.
  public var ranks: [LoRAModule: Int] = [:]
  /// The α of modules that have another than `alpha`.
  public var alphas: [LoRAModule: Double] = [:]
  /// Tensors of the checkpoint that are trained as a whole beside the pairs (`modules_to_save`), by their names there, in
  /// UTF-8 order. `lm_head.weight` among them is a head of its own, even where the base model's is its embedding.
  public var trainedTensors: [String] = []
  /// Rows of the embedding and the head where tokens were added, so that these are more than the base model's; nil where
  /// they are the base model's.
  public var vocabularyRows: Int?
  /// The heads of tasks, which are trained beside the pairs, in the order in which rows number them.
  public var heads: [TaskHead] = []
  /// Whether ln σ² of each task is trained too: the weights ½e^(−ln σ²) of their losses (Kendall et al. 2018).
  public var learnsTaskWeights = false
  /// Whether the losses of tasks are weighed by GradNorm, which needs each task's gradient by the last adapted layer.
  public var balancesTasks = false
  /// What depends on the domains of rows; nil if nothing does.
  public var domains: Domains?

  /// s, of modules with `rank` and `alpha`
  public var scale: Float { scale(rank: rank, alpha: alpha) }

  private func scale(rank: Int, alpha: Double) -> Float { Float(alpha / divisor(rank: rank)) }

  private func divisor(rank: Int) -> Double { useRSLoRA ? Double(rank).squareRoot() : Double(rank) }

  /// What a module's α is divided by to be its scale: r, or √r.
  func divisor(of module: LoRAModule) -> Double { divisor(rank: rank(of: module)) }

  /// The same with every scale multiplied by a factor.
  public func scaled(by factor: Double) -> LoRASpecification {
    var scaled = self
    scaled.alpha *= factor
    scaled.alphas = alphas.mapValues { $0 * factor }
    return scaled
  }

  public func rank(of module: LoRAModule) -> Int { ranks[module] ?? rank }
  public func alpha(of module: LoRAModule) -> Double { alphas[module] ?? alpha }
  public func scale(of module: LoRAModule) -> Float {
    scale(rank: rank(of: module), alpha: alpha(of: module))
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

  /// The modules of a set that is no full grid of projections and layers, or has several ranks; rank and α of each.
  public init(
    modules: [LoRAModule: (rank: Int, alpha: Double)], rank: Int, alpha: Double, useRSLoRA: Bool = false,
    dropout: Float = 0
  ) {
    let projections = Set(modules.keys.map(\.projection))
    self.init(
      rank: rank, alpha: alpha, useRSLoRA: useRSLoRA, dropout: dropout,
      targetModules: Projection.allCases.filter(projections.contains).map(\.rawValue),
      layers: Array(Set(modules.keys.map(\.layer))))
    excluded = Set(grid.filter { modules[$0] == nil })
    for (module, own) in modules {
      if own.rank != rank { ranks[module] = own.rank }
      if own.alpha != alpha { alphas[module] = own.alpha }
    }
  }

  private var grid: [LoRAModule] {
    layers.flatMap { layer in projections.map { LoRAModule(layer: layer, projection: $0) } }
  }

  /// What is adapted, layer by layer.
  public var modules: [LoRAModule] { excluded.isEmpty ? grid : grid.filter { !excluded.contains($0) } }

  /// Every projection of the list in every layer of the list, all with one rank and α.
  public var isRegular: Bool { excluded.isEmpty && ranks.isEmpty && alphas.isEmpty }

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
    for rank in [rank] + ranks.values where !(1...65536).contains(rank) {
      throw fault("rank", "is \(rank); it must be from 1 to 65536")
    }
    for alpha in [alpha] + alphas.values where !(alpha.isFinite && alpha > 0) {
      throw fault("alpha", "is \(alpha); it must be a number above 0")
    }
    guard scale.isFinite, scale > 0, modules.allSatisfy({ scale(of: $0).isFinite && scale(of: $0) > 0 })
    else {
      throw fault("alpha", "is \(alpha); it must be a number above 0")
    }
    guard dropout >= 0, dropout < 1 else {
      throw fault("dropout", "is \(dropout); it must be from 0 to below 1")
    }
    guard !layers.isEmpty, Set(layers).count == layers.count,
      layers.allSatisfy({ (0..<model.layerCount).contains($0) })
    else {
      throw fault("layers", "are \(layers), but the model has the layers 0 to \(model.layerCount - 1)")
    }
    let known = Set(grid)
    for module in excluded.union(ranks.keys).union(alphas.keys) where !known.contains(module) {
      throw fault("modules", "\(module.path) is not among the adapted projections and layers")
    }
    for name in trainedTensors where model.shape(ofTensor: name) == nil {
      throw fault("modules_to_save", "\"\(name)\" is not a tensor of this model")
    }
    guard Set(heads.map(\.name)).count == heads.count, heads.count <= TaskHead.most else {
      throw fault("tasks", "must name at most \(TaskHead.most) tasks, each once")
    }
    guard excluded.count < known.count else { throw fault("target_modules", "leaves no module to adapt") }
  }

  /// The tensors of the adapter: `….lora_a` [r, in] and `….lora_b` [r, out], names in UTF-8 order.
  public func tensors(of model: ModelConfiguration) -> [ModelConfiguration.TensorShape] {
    var list: [ModelConfiguration.TensorShape] = []
    for module in modules {
      let (rank, projection) = (rank(of: module), module.projection)
      list.append(.init(name: module.path + ".lora_a", shape: [rank, model.inputSize(projection)]))
      list.append(.init(name: module.path + ".lora_b", shape: [rank, model.outputSize(projection)]))
    }
    return list.sorted { utf8Ascending($0.name, $1.name) }
  }
}

extension LoRASpecification {
  /// The last layer that has a pair, whose tensors GradNorm looks at.
  var lastLayer: Int? { modules.map(\.layer).max() }

  /// Its tensors, names in UTF-8 order.
  func tensorsOfLastLayer(of model: ModelConfiguration) -> [ModelConfiguration.TensorShape] {
    let paths = modules.filter { $0.layer == lastLayer }.map(\.path)
    return tensors(of: model).filter { tensor in paths.contains { tensor.name.hasPrefix($0 + ".lora_") } }
  }

  public func json() -> JSONValue {
    var object = JSONObject()
    object["rank"] = .number(rank)
    object["alpha"] = .number(alpha)
    object["use_rslora"] = .bool(useRSLoRA)
    object["dropout"] = .number(Double(dropout))
    object["target_modules"] = .strings(targetModules)
    object["layers"] = .numbers(layers)
    if !excluded.isEmpty { object["excluded"] = .strings(excluded.sorted().map(\.path)) }
    if !ranks.isEmpty { object["rank_pattern"] = Self.json(ranks) { .number($0) } }
    if !trainedTensors.isEmpty { object["trained_tensors"] = .strings(trainedTensors) }
    if let vocabularyRows { object["vocabulary_rows"] = .number(vocabularyRows) }
    if !heads.isEmpty { object["heads"] = .array(heads.map(\.json)) }
    if learnsTaskWeights { object["learns_task_weights"] = true }
    if balancesTasks { object["balances_tasks"] = true }
    if let domains { object["domains"] = domains.json }
    if !alphas.isEmpty { object["alpha_pattern"] = Self.json(alphas) { .number($0) } }
    return .object(object)
  }

  private static func json<Value>(
    _ values: [LoRAModule: Value], _ value: (Value) -> JSONValue
  ) -> JSONValue {
    .object(
      JSONObject(
        values.sorted { $0.key < $1.key }.map { .init(key: $0.key.path, value: value($0.value)) }))
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
    func module(_ path: String, _ key: String) throws(ModelError) -> LoRAModule {
      guard let module = LoRAModule(path: path) else {
        throw reader.fault(key, "\"\(path)\" is not the path of a linear layer")
      }
      return module
    }
    for item in reader.value("excluded")?.array ?? [] {
      excluded.insert(try module(item.string ?? "", "excluded"))
    }
    for item in reader.value("trained_tensors")?.array ?? [] {
      guard let name = item.string else {
        throw reader.fault("trained_tensors", "must be a list of names")
      }
      trainedTensors.append(name)
    }
    vocabularyRows = try reader.count("vocabulary_rows")
    for item in reader.value("heads")?.array ?? [] { heads.append(try TaskHead(json: item, file: file)) }
    learnsTaskWeights = try reader.bool("learns_task_weights", default: false)
    balancesTasks = try reader.bool("balances_tasks", default: false)
    domains = try reader.value("domains").map { (json) throws(ModelError) in
      try Domains(json: json, file: file)
    }
    for member in try reader.object("rank_pattern")?.json.object?.members ?? [] {
      guard let rank = member.value.int, (1...65536).contains(rank) else {
        throw reader.fault("rank_pattern", "must give whole numbers from 1 to 65536")
      }
      ranks[try module(member.key, "rank_pattern")] = rank
    }
    for member in try reader.object("alpha_pattern")?.json.object?.members ?? [] {
      guard let alpha = member.value.double, alpha > 0, alpha.isFinite else {
        throw reader.fault("alpha_pattern", "must give numbers above 0")
      }
      alphas[try module(member.key, "alpha_pattern")] = alpha
    }
  }
}
