/// PARAMETERS: all parameters of one tier at one version, as one object.
public struct ParametersMessage: Sendable, Equatable {
  /// The object's name.
  public static let objectName = "tier"

  public var tier: Int
  /// How many updates the tier has had.
  public var version: Int
  /// The tier's digest in the ledger: over names, shapes and bytes.
  public var digest: String
  /// The values in the layout of WELCOME, f32.
  public var values: WireObject

  public init(tier: Int, version: Int, digest: String, values: WireObject) {
    self.tier = tier
    self.version = version
    self.digest = digest
    self.values = values
  }
}

extension ParametersMessage: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("tier", tier)
    writer.add("version", version)
    writer.add("digest", digest)
  }

  var objects: [WireObject] { [values] }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      tier: try reader.integer("tier", in: 0...(WireLimits.tiers - 1)),
      version: try reader.integer("version", in: 0...Int.max),
      digest: try reader.sha256("digest"),
      values: try reader.object(Self.objectName))
  }
}

/// What a shard is computed for.
public enum Purpose: String, Sendable, CaseIterable {
  /// Loss and gradients.
  case train
  /// Loss alone.
  case evaluate
  /// Gradients of an earlier step that were lost in a window.
  case recompute
  /// Chains that a worker keeps; nothing is computed.
  case collect
}

/// What is wanted of a micro-batch in place of its gradients, before training.
public enum Measure: String, Sendable, CaseIterable {
  /// The cross entropy of each trained token, f32, in the order of the labels: for each micro-batch g an object
  /// `tier.0.{g}`.
  case tokenLosses = "token_losses"
  /// The squares of its gradients, element by element; of several micro-batches they are added up as gradients are.
  case squaredGradients = "squared_gradients"
  /// Texts that the base model writes, one for each row, which begins it: for each micro-batch g an object `tier.0.{g}` of
  /// f32, the ids of each text and −1 up to the longest there may be. Each row has one label, whatever it is.
  case sampledTexts = "sampled_texts"

  /// Whether there is an object for each micro-batch, and no sum over several.
  public var isByMicroBatch: Bool { self != .squaredGradients }
}

/// The rows of one micro-batch, packed one behind the other without padding.
public struct AssignedMicroBatch: Sendable, Equatable {
  /// Number of the micro-batch in its step.
  public var number: Int
  /// [total]
  public var tokens: [Int32]
  /// [rows + 1]: row r is tokens[offsets[r] ..< offsets[r+1]].
  public var offsets: [Int32]
  /// [total]: the token to predict at each position, or −100.
  public var labels: [Int32]
  /// Numbers of the rows that are replayed, ascending; the others are of the task.
  public var replayedRows: [Int]
  /// [rows]: what the losses of each row's tokens are multiplied by; empty: 1.
  public var rowWeights: [Float]
  /// [rows]: where there are tasks, the number of each row's, whose labels are then numbers of its own; else empty.
  public var rowTasks: [Int32]
  /// [rows]: where something depends on domains, the number of each row's; else empty.
  public var rowDomains: [Int32] = []
  /// Where a discriminator is to tell the domains.
  public var adversary: AdversaryFactors?

  public init(
    number: Int, tokens: [Int32], offsets: [Int32], labels: [Int32], replayedRows: [Int] = [],
    rowWeights: [Float] = [], rowTasks: [Int32] = []
  ) {
    self.rowTasks = rowTasks
    self.replayedRows = replayedRows
    self.rowWeights = rowWeights
    self.number = number
    self.tokens = tokens
    self.offsets = offsets
    self.labels = labels
  }

  var objects: [WireObject] {
    [
      WireObject(name: "tokens.\(number)", integers: tokens),
      WireObject(name: "offsets.\(number)", integers: offsets),
      WireObject(name: "labels.\(number)", integers: labels),
    ] + (rowWeights.isEmpty ? [] : [WireObject(name: "weights.\(number)", floats: rowWeights)])
      + (rowTasks.isEmpty ? [] : [WireObject(name: "tasks.\(number)", integers: rowTasks)])
      + (rowDomains.isEmpty ? [] : [WireObject(name: "domains.\(number)", integers: rowDomains)])
      + (adversary.map { [WireObject(name: "adversary.\(number)", floats: [$0.weight, $0.reversal])] } ?? [])
  }

  /// - Parameters:
  ///   - isWeighted: whether its rows have weights.
  ///   - isOfTasks: whether its rows are of tasks.
  ///   - isOfDomains: whether they are of domains.
  ///   - isTold: whether a discriminator is to tell these.
  init(
    number: Int, replayedRows: [Int], isWeighted: Bool, isOfTasks: Bool, isOfDomains: Bool, isTold: Bool,
    from reader: inout BodyReader
  ) throws(ProtocolError) {
    self.init(
      number: number,
      tokens: try reader.object("tokens.\(number)").integers(),
      offsets: try reader.object("offsets.\(number)").integers(),
      labels: try reader.object("labels.\(number)").integers(), replayedRows: replayedRows,
      rowWeights: isWeighted ? try reader.object("weights.\(number)").floats() : [],
      rowTasks: isOfTasks ? try reader.object("tasks.\(number)").integers() : [])
    if isOfDomains { rowDomains = try reader.object("domains.\(number)").integers() }
    if isTold { adversary = try AdversaryFactors(number: number, from: &reader) }
    guard !isOfDomains || rowDomains.count == offsets.count - 1,
      rowDomains.allSatisfy({ (0..<Int32(WireLimits.domains)).contains($0) })
    else { throw reader.error("domains.\(number)", "must hold the number of a domain for each row") }
    guard !isOfTasks || rowTasks.count == offsets.count - 1,
      rowTasks.allSatisfy({ (0..<Int32(WireLimits.tasks)).contains($0) })
    else { throw reader.error("tasks.\(number)", "must hold the number of a task for each row") }
    guard !isWeighted || rowWeights.count == offsets.count - 1,
      rowWeights.allSatisfy({ $0.isFinite && $0 >= 0 })
    else { throw reader.error("weights.\(number)", "must hold a number of at least 0 for each row") }
    guard zip(replayedRows, replayedRows.dropFirst()).allSatisfy({ $0 < $1 }),
      (replayedRows.last ?? 0) < max(1, offsets.count - 1)
    else { throw reader.error("replayed", "must name rows of the micro-batch, ascending") }
    guard offsets.count >= 2, offsets.first == 0, offsets.last.map(Int.init) == tokens.count,
      zip(offsets, offsets.dropFirst()).allSatisfy({ $0 < $1 })
    else { throw reader.error("offsets.\(number)", "must ascend from 0 to the number of tokens") }
    guard labels.count == tokens.count, labels.allSatisfy({ $0 >= 0 || $0 == -100 }) else {
      throw reader.error("labels.\(number)", "must hold a token or −100 for every token")
    }
    guard tokens.allSatisfy({ $0 >= 0 }) else {
      throw reader.error("tokens.\(number)", "must not be negative")
    }
  }
}

/// ASSIGN: one attempt at a tier shard.
public struct AssignMessage: Sendable, Equatable {
  /// Number of this hand-out, never used twice in a run.
  public var attempt: Int
  public var purpose: Purpose
  /// The step that the gradients are for, or after which the evaluation takes place.
  public var step: Int
  /// Micro-batches of the whole step or evaluation.
  public var leafCount: Int
  /// The node of the reduction tree: it covers [index·2^level, (index+1)·2^level) ∩ [0, leafCount).
  public var level: Int
  public var index: Int
  /// Tiers whose gradients are wanted, ascending.
  public var tiers: [Int]
  /// Whether gradients are wanted for every micro-batch by itself, each times 1/stepTokens, instead of the node's
  /// un-normalised sum.
  public var window: Bool
  /// Trained tokens of the whole step; not 0 if `window`.
  public var stepTokens: Int
  /// Whether digests of the gradients are wanted instead of the gradients themselves.
  public var digestOnly: Bool
  /// What is wanted in place of gradients; nil: these.
  public var measure: Measure?
  /// How texts are drawn, for `sampledTexts`.
  public var sampling: TextSampling?
  /// Whether it is wanted how many tokens of an evaluation were right.
  public var accuracy: Bool
  /// For every tier of the shard what becomes of its chains; empty: a window's gradients are returned one by one.
  public var windows: [WindowOrder]
  /// For every tier the version to compute with.
  public var parameterVersions: [Int]
  /// What the scales of LoRA pairs are multiplied by, above 0 and up to 1; nil: 1. For evaluations alone.
  public var adapterScale: Double?
  /// Key of the dropout masks; nil without dropout.
  public var dropoutSeed: UInt64?
  /// The node's micro-batches, ascending; none for `collect`.
  public var microBatches: [AssignedMicroBatch]

  public init(
    attempt: Int, purpose: Purpose, step: Int, leafCount: Int, level: Int, index: Int, tiers: [Int],
    window: Bool, digestOnly: Bool = false, measure: Measure? = nil, sampling: TextSampling? = nil,
    accuracy: Bool = false, stepTokens: Int,
    windows: [WindowOrder] = [],
    parameterVersions: [Int], adapterScale: Double? = nil, dropoutSeed: UInt64? = nil,
    microBatches: [AssignedMicroBatch]
  ) {
    self.adapterScale = adapterScale
    self.measure = measure
    self.sampling = sampling
    self.accuracy = accuracy
    self.attempt = attempt
    self.purpose = purpose
    self.step = step
    self.leafCount = leafCount
    self.level = level
    self.index = index
    self.tiers = tiers
    self.window = window
    self.digestOnly = digestOnly
    self.stepTokens = stepTokens
    self.windows = windows
    self.parameterVersions = parameterVersions
    self.dropoutSeed = dropoutSeed
    self.microBatches = microBatches
  }
}

extension AssignMessage: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("attempt", attempt)
    writer.add("purpose", purpose.rawValue)
    writer.add("step", step)
    writer.add("leaf_count", leafCount)
    writer.add("level", level)
    writer.add("index", index)
    writer.add("tiers", tiers)
    writer.add("window", .bool(window))
    writer.add("digest_only", ifPresent: digestOnly ? .bool(true) : nil)
    writer.add("measure", ifPresent: measure.map { .string($0.rawValue) })
    writer.add("sampling", ifPresent: sampling?.json)
    writer.add("accuracy", ifPresent: accuracy ? .bool(true) : nil)
    writer.add("step_tokens", stepTokens)
    writer.add("windows", ifPresent: windows.isEmpty ? nil : .array(windows.map(\.json)))
    writer.add("parameter_versions", parameterVersions)
    if let adapterScale { writer.add("adapter_scale", bits: adapterScale) }
    writer.add("dropout_seed", ifPresent: dropoutSeed.map { .number(String($0)) })
    let hasReplay = microBatches.contains { !$0.replayedRows.isEmpty }
    writer.add(
      "replayed", ifPresent: hasReplay ? .array(microBatches.map { .numbers($0.replayedRows) }) : nil)
    writer.add("row_weights", ifPresent: microBatches.contains { !$0.rowWeights.isEmpty } ? .bool(true) : nil)
    writer.add("row_tasks", ifPresent: microBatches.contains { !$0.rowTasks.isEmpty } ? .bool(true) : nil)
    writer.add(
      "row_domains", ifPresent: microBatches.contains { !$0.rowDomains.isEmpty } ? .bool(true) : nil)
    writer.add("adversary", ifPresent: microBatches.contains { $0.adversary != nil } ? .bool(true) : nil)
  }

  var objects: [WireObject] { microBatches.flatMap(\.objects) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    guard let purpose = Purpose(rawValue: try reader.string("purpose", maximum: 64)) else {
      throw reader.error(
        "purpose", "must be one of \(Purpose.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    let leafCount = try reader.integer("leaf_count", in: 1...WireLimits.microBatches)
    let level = try reader.integer("level", in: 0...20)
    let index = try reader.integer("index", in: 0...(leafCount - 1))
    // Within the limits above, nothing here overflows.
    let first = index << level
    guard first < leafCount else { throw reader.error("index", "names a node without micro-batches") }
    let versions = try reader.integers(
      "parameter_versions", in: 0...Int.max, maximumCount: WireLimits.tiers)
    let tiers = try reader.integers("tiers", in: 0...(WireLimits.tiers - 1), maximumCount: WireLimits.tiers)
    guard zip(tiers, tiers.dropFirst()).allSatisfy({ $0 < $1 }), tiers.allSatisfy({ $0 < versions.count })
    else {
      throw reader.error("tiers", "must ascend and have a version each")
    }
    let window = try reader.bool("window")
    let node = first..<min(first + 1 << level, leafCount)
    guard node.count <= WireLimits.shardMicroBatches else {
      throw reader.error("level", "names a node of more than \(WireLimits.shardMicroBatches) micro-batches")
    }
    let windows = try Self.windows(from: reader, purpose, tiers: tiers, microBatchCount: node.count)
    guard windows.isEmpty || window else { throw reader.error("windows", "go with a window alone") }
    guard windows.isEmpty || purpose != .evaluate else {
      throw reader.error("windows", "do not go with an evaluation")
    }
    var microBatches: [AssignedMicroBatch] = []
    let replayed = try Self.replayedRows(from: reader, count: purpose == .collect ? 0 : node.count)
    let isWeighted = try reader.optionalBool("row_weights") ?? false
    let isOfTasks = try reader.optionalBool("row_tasks") ?? false
    let isOfDomains = try reader.optionalBool("row_domains") ?? false
    let isTold = try reader.optionalBool("adversary") ?? false
    guard isOfDomains || !isTold else { throw reader.error("adversary", "goes with domains of rows alone") }
    for number in node where purpose != .collect {
      microBatches.append(
        try AssignedMicroBatch(
          number: number, replayedRows: replayed[number - first], isWeighted: isWeighted,
          isOfTasks: isOfTasks, isOfDomains: isOfDomains, isTold: isTold, from: &reader))
    }
    self.init(
      attempt: try reader.integer("attempt", in: 1...Int.max), purpose: purpose,
      step: try reader.integer("step", in: 0...Int.max), leafCount: leafCount, level: level, index: index,
      tiers: tiers, window: window, digestOnly: try reader.optionalBool("digest_only") ?? false,
      measure: try Self.measure(from: reader, purpose, window: window),
      sampling: try Self.sampling(from: reader), accuracy: try Self.accuracy(from: reader, purpose),
      stepTokens: try reader.integer("step_tokens", in: (window ? 1 : 0)...Int(Int32.max)),
      windows: windows, parameterVersions: versions,
      adapterScale: try Self.adapterScale(from: reader, purpose),
      dropoutSeed: try reader.optionalUnsigned("dropout_seed"),
      microBatches: microBatches)
  }

  private static func sampling(from reader: BodyReader) throws(ProtocolError) -> TextSampling? {
    let isWanted = reader.optional("measure")?.string == Measure.sampledTexts.rawValue
    guard let value = reader.optional("sampling") else {
      guard !isWanted else { throw reader.error("sampling", "is missing") }
      return nil
    }
    guard isWanted, let sampling = TextSampling(json: value) else {
      throw reader.error("sampling", "must say how texts are drawn, and goes with sampled_texts alone")
    }
    return sampling
  }

  private static func accuracy(from reader: BodyReader, _ purpose: Purpose) throws(ProtocolError) -> Bool {
    let isWanted = try reader.optionalBool("accuracy") ?? false
    guard !isWanted || purpose == .evaluate else {
      throw reader.error("accuracy", "goes with an evaluation alone")
    }
    return isWanted
  }

  private static func adapterScale(from reader: BodyReader, _ purpose: Purpose) throws(ProtocolError)
    -> Double?
  {
    guard reader.optional("adapter_scale") != nil else { return nil }
    let scale = try reader.bits("adapter_scale")
    guard scale > 0, scale <= 1, purpose == .evaluate else {
      throw reader.error("adapter_scale", "must be above 0 and up to 1, in an evaluation")
    }
    return scale
  }

  private static func measure(
    from reader: BodyReader, _ purpose: Purpose, window: Bool
  ) throws(ProtocolError) -> Measure? {
    guard let value = reader.optional("measure") else { return nil }
    guard let measure = value.string.flatMap(Measure.init) else {
      throw reader.error(
        "measure", "must be one of \(Measure.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    guard purpose == .train, !window else {
      throw reader.error("measure", "goes with a step without windows alone")
    }
    return measure
  }

  /// For each micro-batch the rows that are replayed.
  private static func replayedRows(from reader: BodyReader, count: Int) throws(ProtocolError) -> [[Int]] {
    guard let value = reader.optional("replayed") else { return Array(repeating: [], count: count) }
    guard let lists = value.array, lists.count == count else {
      throw reader.error("replayed", "must have a list of rows for each micro-batch")
    }
    var rows: [[Int]] = []
    for list in lists {
      let numbers = list.array?.compactMap(\.int) ?? []
      guard numbers.count == list.array?.count, numbers.allSatisfy({ $0 >= 0 }) else {
        throw reader.error("replayed", "must name rows of micro-batches")
      }
      rows.append(numbers)
    }
    return rows
  }

  private static func windows(
    from reader: BodyReader, _ purpose: Purpose, tiers: [Int], microBatchCount: Int
  ) throws(ProtocolError) -> [WindowOrder] {
    guard let value = reader.optional("windows") else {
      guard purpose != .collect else { throw reader.error("windows", "is missing") }
      return []
    }
    guard let items = value.array, items.count == tiers.count else {
      throw reader.error("windows", "must be a list of orders, one for each tier")
    }
    var orders: [WindowOrder] = []
    for (item, tier) in zip(items, tiers) {
      do throws(WindowFieldError) {
        let order = try WindowOrder(item, microBatchCount: microBatchCount, purpose: purpose)
        guard order.tier == tier else { throw WindowFieldError("must name the shard's tiers in order") }
        orders.append(order)
      } catch { throw reader.error("windows", error.reason) }
    }
    return orders
  }
}
