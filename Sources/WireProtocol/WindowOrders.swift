import Digests
import JSON

/// What a worker does with the scaled gradient of one (tier, micro-batch) of a window.
public enum ChainOrder: Sendable, Hashable {
  /// Return it, and keep nothing.
  case separate
  /// It is the first of a new chain, which the worker keeps.
  case start
  /// Add it to the chain that the worker keeps, which must have this SHA-256 and end one step before. For `collect`:
  /// return this chain as it is.
  case proceed(sha256: String)
  /// Add it to the chain that came by WINDOW for this step.
  case given
  /// Nothing is asked; for `collect` alone.
  case skip

  /// The kept chain goes on to the next step.
  public var keepsChain: Bool { self != .separate && self != .skip }

  var json: JSONValue {
    switch self {
    case .separate: "separate"
    case .start: "start"
    case .proceed(let sha256): .string(sha256)
    case .given: "given"
    case .skip: "skip"
    }
  }

  init?(_ json: JSONValue) {
    switch json.string {
    case "separate": self = .separate
    case "start": self = .start
    case "given": self = .given
    case "skip": self = .skip
    case .some(let sha256) where Digest.isSHA256(sha256): self = .proceed(sha256: sha256)
    default: return nil
    }
  }
}

/// How the chains of a tier are kept and returned in one shard.
public struct WindowOrder: Sendable, Hashable {
  /// What is returned of chains that are kept.
  public enum Returns: String, Sendable, CaseIterable {
    case none
    /// A copy of each chain, for a flush: the worker goes on from its own.
    case copy
    /// The sum over the node by the fixed tree, at a boundary.
    case sum
  }

  public let tier: Int
  public let returns: Returns
  /// By micro-batch of the node, ascending.
  public let chains: [ChainOrder]

  public init(tier: Int, returns: Returns, chains: [ChainOrder]) {
    self.tier = tier
    self.returns = returns
    self.chains = chains
  }

  var json: JSONValue {
    [
      "tier": .number(tier), "returns": .string(returns.rawValue), "chains": .array(chains.map(\.json)),
    ]
  }

  /// - Parameter microBatchCount: of the shard's node.
  init(_ json: JSONValue, microBatchCount: Int, purpose: Purpose) throws(WindowFieldError) {
    guard let tier = json["tier"]?.int, (0..<WireLimits.tiers).contains(tier) else {
      throw WindowFieldError("must name a tier each")
    }
    guard let returns = json["returns"]?.string.flatMap(Returns.init) else {
      throw WindowFieldError("must say what to return: none, copy or sum")
    }
    guard let items = json["chains"]?.array, items.count == microBatchCount else {
      throw WindowFieldError("must have an order for each micro-batch of the node")
    }
    var chains: [ChainOrder] = []
    for item in items {
      guard let order = ChainOrder(item) else {
        throw WindowFieldError("must say separate, start, given, skip or a SHA-256 for each chain")
      }
      chains.append(order)
    }
    guard returns != .sum || chains.allSatisfy(\.keepsChain) else {
      throw WindowFieldError("asks for a sum over chains that are not all kept")
    }
    let isCollected = purpose == .collect
    let fits = chains.allSatisfy {
      switch $0 {
      case .proceed: true
      case .skip: isCollected
      case .separate, .start, .given: !isCollected
      }
    }
    guard fits, !isCollected || returns == .copy else {
      throw WindowFieldError("has an order that does not go with \(purpose.rawValue)")
    }
    self.init(tier: tier, returns: returns, chains: chains)
  }
}

/// Why a field about windows is refused.
struct WindowFieldError: Error {
  let reason: String

  init(_ reason: String) { self.reason = reason }
}

/// What a worker holds of a window, and what the step added to it.
public struct WindowReport: Sendable, Hashable {
  public let tier: Int
  public let microBatch: Int
  /// The steps that are in the chain; for a separate gradient, its own step twice.
  public let first: Int
  public let last: Int
  /// SHA-256 of the chain; nil for a separate gradient.
  public let chain: String?
  /// SHA-256 of the step's scaled gradient; nil for a chain that was collected.
  public let gradient: String?

  public init(tier: Int, microBatch: Int, first: Int, last: Int, chain: String?, gradient: String?) {
    self.tier = tier
    self.microBatch = microBatch
    self.first = first
    self.last = last
    self.chain = chain
    self.gradient = gradient
  }

  var json: JSONValue {
    var object: JSONObject = [
      "tier": .number(tier), "micro_batch": .number(microBatch), "first": .number(first),
      "last": .number(last),
    ]
    if let chain { object["chain"] = .string(chain) }
    if let gradient { object["gradient"] = .string(gradient) }
    return .object(object)
  }

  init(_ json: JSONValue) throws(WindowFieldError) {
    guard let tier = json["tier"]?.int, (0..<WireLimits.tiers).contains(tier),
      let microBatch = json["micro_batch"]?.int, (0..<WireLimits.microBatches).contains(microBatch)
    else { throw WindowFieldError("must name tier and micro-batch") }
    guard let first = json["first"]?.int, let last = json["last"]?.int, first >= 1, last >= first else {
      throw WindowFieldError("must name the first and the last step of a chain")
    }
    func digest(_ key: String) throws(WindowFieldError) -> String? {
      guard let value = json[key], !value.isNull else { return nil }
      guard let text = value.string, Digest.isSHA256(text) else {
        throw WindowFieldError("must have a SHA-256 as \"\(key)\"")
      }
      return text
    }
    self.init(
      tier: tier, microBatch: microBatch, first: first, last: last, chain: try digest("chain"),
      gradient: try digest("gradient"))
  }
}

/// A chain that travels: one tier's sums so far, of one micro-batch index.
public struct WindowChain: Sendable, Equatable {
  public let tier: Int
  public let microBatch: Int
  /// The values in the layout of WELCOME, f32; named `chain.{k}.{g}`.
  public let values: WireObject

  public init(tier: Int, microBatch: Int, floats: [Float]) {
    self.tier = tier
    self.microBatch = microBatch
    values = WireObject(name: Self.name(tier: tier, microBatch: microBatch), floats: floats)
  }

  public static func name(tier: Int, microBatch: Int) -> String { "chain.\(tier).\(microBatch)" }

  /// Takes tier and micro-batch from the object's name; nil if it is not one that `name` gives.
  init?(_ object: WireObject) {
    let parts = object.name.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 3, parts[0] == "chain", let tier = Int(parts[1]), let microBatch = Int(parts[2]),
      (0..<WireLimits.tiers).contains(tier), (0..<WireLimits.microBatches).contains(microBatch),
      object.name == Self.name(tier: tier, microBatch: microBatch)
    else { return nil }
    self.tier = tier
    self.microBatch = microBatch
    values = object
  }
}
