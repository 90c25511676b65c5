import Digests
import JSON

/// The gradient of one tier: the sum over a node of the reduction tree, or, in a window, one micro-batch's own.
public struct TierGradient: Sendable, Equatable {
  public let tier: Int
  /// The micro-batch; nil for the node's sum.
  public let microBatch: Int?
  /// The values in the layout of WELCOME, f32; named `tier.{k}` or `tier.{k}.{g}`.
  public let values: WireObject

  public init(tier: Int, microBatch: Int? = nil, floats: [Float]) {
    self.tier = tier
    self.microBatch = microBatch
    values = WireObject(name: TierGradient.name(tier: tier, microBatch: microBatch), floats: floats)
  }

  /// The name of the object that holds this gradient.
  public static func name(tier: Int, microBatch: Int?) -> String {
    microBatch.map { "tier.\(tier).\($0)" } ?? "tier.\(tier)"
  }

  fileprivate var withoutBytes: TierGradient {
    TierGradient(tier: tier, microBatch: microBatch, values: WireObject(announced: ObjectDeclaration(values)))
  }

  private init(tier: Int, microBatch: Int?, values: WireObject) {
    self.tier = tier
    self.microBatch = microBatch
    self.values = values
  }

  /// Takes tier and micro-batch from the object's name; nil if it is not one that `name` gives.
  package init?(_ object: WireObject) {
    let parts = object.name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2 || parts.count == 3, parts[0] == "tier",
      let tier = Int(parts[1]), (0..<WireLimits.tiers).contains(tier)
    else { return nil }
    var microBatch: Int?
    if parts.count == 3 {
      guard let number = Int(parts[2]), (0..<WireLimits.microBatches).contains(number) else { return nil }
      microBatch = number
    }
    // "tier.+1" and "tier.01" are not names that anything asks for.
    guard object.name == TierGradient.name(tier: tier, microBatch: microBatch) else { return nil }
    self.tier = tier
    self.microBatch = microBatch
    values = object
  }
}

/// What a gradient would be, in a result that has only digests.
public struct GradientDigest: Sendable, Equatable {
  /// As `TierGradient.name` gives it.
  public var name: String
  public var byteCount: Int
  public var sha256: String

  public init(name: String, byteCount: Int, sha256: String) {
    self.name = name
    self.byteCount = byteCount
    self.sha256 = sha256
  }

  public init(_ gradient: TierGradient) {
    self.init(
      name: gradient.values.name, byteCount: gradient.values.byteCount, sha256: gradient.values.sha256)
  }
}

/// RESULT: what an attempt came to.
public struct ResultMessage: Sendable, Equatable {
  public var attempt: Int
  /// Sum of the losses of the node's trained tokens, added by the fixed tree.
  public var lossSum: Double
  /// The other sums of a run that has an objective of its own; `lossSum` is then of task rows alone. Nil in other runs.
  public var terms: ObjectiveTerms?
  /// The node's trained tokens.
  public var tokens: Int
  /// Of them, in an evaluation that wants it, those whose likeliest token (of equals the lowest id) was right.
  public var correct: Int?
  /// Time spent computing, by the worker's clock; for the record alone.
  public var seconds: Double
  /// Steps of the computation, as LEASE_RENEW counts them; 0 if they were not counted.
  public var progress: Int
  /// Ordered by tier, then micro-batch.
  public var gradients: [TierGradient]
  /// In their stead, if the assignment asked for digests alone.
  public var digests: [GradientDigest]
  /// Chains that were asked for; ordered by tier, then micro-batch.
  public var chains: [WindowChain]
  /// What the worker holds of each (tier, micro-batch); empty unless the assignment had orders for windows.
  public var windows: [WindowReport]
  /// Of the way through the layers, for whoever computes it again; nil if its worker says nothing of it.
  public var layers: LayerDigests?
  /// Bytes of memory that its worker has, now and then; for the record alone.
  public var residentBytes: Int?

  public init(
    attempt: Int, lossSum: Double, terms: ObjectiveTerms? = nil, tokens: Int, seconds: Double,
    progress: Int = 0,
    gradients: [TierGradient], digests: [GradientDigest] = [], chains: [WindowChain] = [],
    windows: [WindowReport] = [], layers: LayerDigests? = nil
  ) {
    self.attempt = attempt
    self.lossSum = lossSum
    self.terms = terms
    self.tokens = tokens
    self.seconds = seconds
    self.progress = progress
    self.gradients = gradients
    self.digests = digests
    self.chains = chains
    self.windows = windows
    self.layers = layers
  }
}

extension ResultMessage {
  /// The same without the bytes of its gradients, whose lengths and digests stay.
  package var withoutBytes: ResultMessage {
    var result = self
    result.gradients = gradients.map { $0.withoutBytes }
    return result
  }
}

extension ResultMessage: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("attempt", attempt)
    writer.add("loss_sum", bits: lossSum)
    if let terms {
      writer.add("replay_loss_sum", bits: terms.replay)
      writer.add("divergence_sum", bits: terms.divergence)
      writer.add("objective_sum", bits: terms.objective)
      writer.add(
        "task_sums", ifPresent: terms.tasks.isEmpty ? nil : .array(terms.tasks.map(\.json)))
      writer.add("domain_sums", ifPresent: terms.domains?.json)
    }
    writer.add("tokens", tokens)
    writer.add("correct", ifPresent: correct.map { .number($0) })
    writer.add("seconds", .number(seconds))
    writer.add("progress", ifPresent: progress > 0 ? .number(progress) : nil)
    writer.add("windows", ifPresent: windows.isEmpty ? nil : .array(windows.map(\.json)))
    let digests = digests.map { digest -> JSONValue in
      ["name": .string(digest.name), "bytes": .number(digest.byteCount), "sha256": .string(digest.sha256)]
    }
    writer.add("digests", ifPresent: digests.isEmpty ? nil : .array(digests))
    writer.add("layers", ifPresent: layers?.json)
    writer.add("resident_bytes", ifPresent: residentBytes.map { .number($0) })
  }

  var objects: [WireObject] { gradients.map(\.values) + chains.map(\.values) }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    var gradients: [TierGradient] = []
    var chains: [WindowChain] = []
    for object in reader.remainingObjects() {
      if let gradient = TierGradient(object) {
        gradients.append(gradient)
      } else if let chain = WindowChain(object) {
        chains.append(chain)
      } else {
        throw reader.error(object.name, "is not the name of a gradient or a chain")
      }
    }
    chains.sort { ($0.tier, $0.microBatch) < ($1.tier, $1.microBatch) }
    gradients.sort { ($0.tier, $0.microBatch ?? -1) < ($1.tier, $1.microBatch ?? -1) }
    self.init(
      attempt: try reader.integer("attempt", in: 1...Int.max),
      lossSum: try reader.bits("loss_sum"), terms: try Self.terms(from: reader),
      tokens: try reader.integer("tokens", in: 0...Int(Int32.max)),
      seconds: try reader.seconds("seconds"),
      progress: try reader.optionalInteger("progress", in: 0...WireLimits.progressSteps) ?? 0,
      gradients: gradients,
      digests: try Self.digests(from: reader), chains: chains, windows: try Self.windows(from: reader),
      layers: try Self.layers(from: reader))
    correct = try reader.optionalInteger("correct", in: 0...tokens)
    residentBytes = try reader.optionalInteger("resident_bytes", in: 0...WireLimits.residentBytes)
  }

  private static func layers(from reader: BodyReader) throws(ProtocolError) -> LayerDigests? {
    guard let value = reader.optional("layers") else { return nil }
    guard let layers = LayerDigests(value) else {
      throw reader.error(
        "layers",
        "must have lists of at most \(WireLimits.layerDigests) digests of 16 lower-case hexadecimal digits")
    }
    return layers
  }

  private static func terms(from reader: BodyReader) throws(ProtocolError) -> ObjectiveTerms? {
    guard reader.optional("objective_sum") != nil else { return nil }
    return ObjectiveTerms(
      replay: try reader.bits("replay_loss_sum"), divergence: try reader.bits("divergence_sum"),
      objective: try reader.bits("objective_sum"), tasks: try tasks(from: reader),
      domains: try domains(from: reader))
  }

  private static func domains(from reader: BodyReader) throws(ProtocolError) -> TaskSums? {
    guard let value = reader.optional("domain_sums") else { return nil }
    guard let sums = TaskSums(value), sums.labels.isEmpty else {
      throw reader.error("domain_sums", "must be a list of a loss's bits and two whole numbers")
    }
    return sums
  }

  private static func tasks(from reader: BodyReader) throws(ProtocolError) -> [TaskSums] {
    guard let value = reader.optional("task_sums") else { return [] }
    let tasks = value.array?.prefix(WireLimits.tasks + 1).compactMap(TaskSums.init) ?? []
    guard !tasks.isEmpty, tasks.count == value.array?.count, tasks.count <= WireLimits.tasks else {
      throw reader.error(
        "task_sums",
        "must be a list of 1 to \(WireLimits.tasks) lists of a loss's bits and whole numbers, three for each label"
      )
    }
    return tasks
  }

  private static func windows(from reader: BodyReader) throws(ProtocolError) -> [WindowReport] {
    guard let value = reader.optional("windows") else { return [] }
    guard let items = value.array, items.count <= WireLimits.resultGradients else {
      throw reader.error("windows", "must be a list of at most \(WireLimits.resultGradients) reports")
    }
    var reports: [WindowReport] = []
    for item in items {
      do throws(WindowFieldError) {
        reports.append(try WindowReport(item))
      } catch {
        throw reader.error("windows", error.reason)
      }
    }
    return reports
  }

  private static func digests(from reader: BodyReader) throws(ProtocolError) -> [GradientDigest] {
    guard let value = reader.optional("digests") else { return [] }
    guard let items = value.array, items.count <= WireLimits.resultGradients else {
      throw reader.error("digests", "must be a list of at most \(WireLimits.resultGradients) digests")
    }
    var digests: [GradientDigest] = []
    for item in items {
      guard let name = item["name"]?.string, name.utf8.count <= WireLimits.nameBytes,
        let bytes = item["bytes"]?.int, bytes >= 0,
        let sha256 = item["sha256"]?.string, Digest.isSHA256(sha256)
      else { throw reader.error("digests", "must give each gradient's name, bytes and SHA-256") }
      digests.append(GradientDigest(name: name, byteCount: bytes, sha256: sha256))
    }
    return digests
  }
}

/// What became of a result.
public enum ResultOutcome: String, Sendable, CaseIterable {
  /// It is the one that counts.
  case committed
  /// Another of the same bytes came before it.
  case duplicate
  /// It belongs to another session, another term, or a unit of work that is over.
  case stale
  /// It is not what was asked for, or a number in it is not finite.
  case corrupt
}

/// RESULT_ACK: the worker may forget the result.
public struct ResultAck: Sendable, Equatable {
  public var attempt: Int
  public var outcome: ResultOutcome

  public init(attempt: Int, outcome: ResultOutcome) {
    self.attempt = attempt
    self.outcome = outcome
  }
}

extension ResultAck: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("attempt", attempt)
    writer.add("outcome", outcome.rawValue)
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    guard let outcome = ResultOutcome(rawValue: try reader.string("outcome", maximum: 64)) else {
      throw reader.error(
        "outcome", "must be one of \(ResultOutcome.allCases.map(\.rawValue).joined(separator: ", "))")
    }
    self.init(attempt: try reader.integer("attempt", in: 1...Int.max), outcome: outcome)
  }
}

/// What could not be done.
public enum ErrorCode: String, Sendable, CaseIterable {
  /// The model could not be loaded.
  case model
  /// A tier's parameters are missing, of another version or damaged.
  case parameters
  /// The shard could not be computed.
  case compute
  /// The shard has come to a number that is not finite. The reason says where, in the same words on every worker.
  case notFinite = "not_finite"
  /// A message could not be read.
  case message
  /// A code of a later version.
  case other
}

/// ERROR: with an attempt, that attempt failed and the worker takes other work; without one, the worker is of no use.
public struct ErrorMessage: Sendable, Equatable {
  public var code: ErrorCode
  public var reason: String
  public var attempt: Int?

  public init(code: ErrorCode, reason: String, attempt: Int? = nil) {
    self.code = code
    self.reason = reason
    self.attempt = attempt
  }
}

extension ErrorMessage: MessageBody {
  func write(to writer: inout BodyWriter) {
    writer.add("code", code.rawValue)
    writer.add("reason", reason)
    writer.add("attempt", ifPresent: attempt.map { .number($0) })
  }

  init(from reader: inout BodyReader) throws(ProtocolError) {
    self.init(
      code: ErrorCode(rawValue: try reader.string("code", maximum: 64)) ?? .other,
      reason: try reader.string("reason"),
      attempt: try reader.optionalInteger("attempt", in: 1...Int.max))
  }
}
