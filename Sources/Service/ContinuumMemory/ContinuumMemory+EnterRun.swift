import JSON
import LanguageModel
import Tensors
import WireProtocol

extension ContinuumMemoryShape {
  /// More than this is no demonstration, and nothing that a message says is made room for beyond it.
  static let limits = (width: 1 << 14, inner: 1 << 16, levels: 16, parameters: 1 << 30)

  /// Bytes that a worker needs for parameters and gradients.
  var byteCount: Int { 3 * 4 * parameters.reduce(0) { $0 + $1.shape.reduce(1, *) } }

  var isWithinLimits: Bool {
    (1...Self.limits.width).contains(width) && (1...Self.limits.inner).contains(inner)
      && (1...Self.limits.levels).contains(levels.count) && byteCount / 12 <= Self.limits.parameters
      && levels.allSatisfy { $0.chunk >= 1 && !$0.name.isEmpty && $0.name.utf8.count <= 64 }
      && Set(levels.map(\.name)).count == levels.count
  }

  /// As workers are told, in `trainable` of ENTER_RUN.
  func json(seed: UInt64) -> JSONValue {
    [
      "continuum_memory": [
        "width": .number(width), "inner": .number(inner), "seed": .number(String(seed)),
        "levels": .array(levels.map { ["name": .string($0.name), "chunk": .number($0.chunk)] }),
      ]
    ]
  }

  /// Nil if it is none, or larger than `limits`.
  init?(json: JSONValue) {
    guard let width = json["width"]?.int, let inner = json["inner"]?.int, let items = json["levels"]?.array,
      items.count <= Self.limits.levels
    else { return nil }
    let levels = items.compactMap { item in
      item["name"]?.string.flatMap { name in item["chunk"]?.int.map { Level(name: name, chunk: $0) } }
    }
    guard (1...Self.limits.width).contains(width), (1...Self.limits.inner).contains(inner),
      levels.count == items.count
    else { return nil }
    self.init(width: width, inner: inner, levels: levels)
    guard isWithinLimits else { return nil }
  }
}

extension ContinuumMemory {
  /// The memory that a run trains; nil if it trains something else.
  ///
  /// - Throws: `ServiceError` for one that this program cannot make.
  convenience init?(_ run: EnterRun, pool: ThreadPool) throws {
    guard let json = run.trainable["continuum_memory"] else { return nil }
    guard let shape = ContinuumMemoryShape(json: json), case .number(let digits)? = json["seed"],
      let seed = UInt64(digits)
    else {
      throw ServiceError(
        "the coordinator wants a continuum memory system trained that this program cannot make: \(json.text.prefix(200))",
        remedy: "install the coordinator's release here")
    }
    try self.init(shape, seed: seed, pool: pool)
  }
}
