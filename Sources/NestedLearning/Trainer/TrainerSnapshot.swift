import JSON

/// A tensor of a snapshot.
public struct NamedTensor: Sendable, Equatable {
  /// `parameters/NAME`, `m/NAME`, `v/NAME`, or `window/G/NAME` for the chain of micro-batch G; of the slower copy K
  /// `copies/K/NAME`, `copy_m/K/NAME` and `copy_v/K/NAME`, and `start/NAME` where training began.
  public let name: String
  /// The tier of the parameter.
  public let tier: Int
  public let shape: [Int]
  /// Row-major.
  public let values: [Float]

  public init(name: String, tier: Int, shape: [Int], values: [Float]) {
    self.name = name
    self.tier = tier
    self.shape = shape
    self.values = values
  }
}

/// A trainer's whole state as tensors and a few numbers, from which it goes on to the same bits.
public struct TrainerSnapshot: Sendable, Equatable {
  /// Sorted by the UTF-8 bytes of their names, as the state digest takes them.
  public let tensors: [NamedTensor]
  /// `{"format": 1, "step": t, "update_counts": […]}`
  public let numbers: JSONValue

  public init(tensors: [NamedTensor], numbers: JSONValue) {
    self.tensors = tensors.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }
    self.numbers = numbers
  }
}

extension NestedTrainerState {
  public func snapshot() -> TrainerSnapshot {
    TrainerSnapshot(
      tensors: scheduler.tiers.flatMap { tensors(tier: $0.index) },
      numbers: ["format": 1, "step": .number(step), "update_counts": .numbers(optimizer.updateCounts)])
  }

  /// The parameters of a tier, sorted by the UTF-8 bytes of their names: what a tier's version is a digest of.
  public func parameterTensors(tier: Int) -> [NamedTensor] {
    guard scheduler.tiers.indices.contains(tier) else { return [] }
    return scheduler.tiers[tier].parameters.map { name in
      NamedTensor(name: name, tier: tier, shape: shapes[name] ?? [], values: parameters[name] ?? [])
    }
  }

  /// One of the slower copies, from 1, as a tier's parameters are.
  public func copyTensors(_ level: Int) -> [NamedTensor] {
    guard let copies = consolidation?.copies, copies.indices.contains(level - 1) else { return [] }
    return scheduler.parameters.map { name in
      NamedTensor(name: name, tier: 0, shape: shapes[name] ?? [], values: copies[level - 1][name] ?? [])
    }
  }

  /// All of the slower copies.
  public var copyTensors: [NamedTensor] {
    (consolidation?.copies.indices ?? 0..<0).flatMap { copyTensors($0 + 1) }
  }

  /// Everything that belongs to a tier.
  private func tensors(tier: Int) -> [NamedTensor] {
    var tensors: [NamedTensor] = []
    for name in scheduler.tiers[tier].parameters {
      func append(_ kind: String, _ values: [Float]?) {
        guard let values else { return }
        tensors.append(
          NamedTensor(name: "\(kind)/\(name)", tier: tier, shape: shapes[name] ?? [], values: values))
      }
      append("parameters", parameters[name])
      append("m", optimizer.moments[name]?.mean)
      append("v", optimizer.moments[name]?.square)
      for (g, chains) in (window?.chains ?? []).enumerated() { append("window/\(g)", chains[name]) }
      for (index, copy) in (consolidation?.copies ?? []).enumerated() {
        append("copies/\(index + 1)", copy[name])
      }
      for (index, moments) in (consolidation?.moments ?? []).enumerated() {
        append("copy_m/\(index + 1)", moments[name]?.mean)
        append("copy_v/\(index + 1)", moments[name]?.square)
      }
      append("start", consolidation?.start[name])
    }
    return tensors
  }

  /// The state that a snapshot was taken of.
  ///
  /// - Parameter config: the one of the snapshot's run.
  /// - Throws: `TrainerError.snapshot` if a tensor is missing, unknown, or of the wrong size.
  public init(
    config: NestedLearningConfig, scheduler: ParameterTierScheduler, shapes: [String: [Int]],
    snapshot: TrainerSnapshot
  ) throws(TrainerError) {
    let (step, counts) = try Self.numbers(of: snapshot, tierCount: scheduler.tiers.count)
    var reader = SnapshotReader(snapshot)
    var parameters: [String: [Float]] = [:]
    var moments: [String: NestedAdam.Moments] = [:]
    var chains = Array(repeating: GradientSums(), count: config.gradientAccumulationSteps)
    for tier in scheduler.tiers {
      for name in tier.parameters {
        let shape = shapes[name] ?? []
        parameters[name] = try reader.take("parameters/\(name)", shape)
        if config.optimizer != .sgd {
          moments[name] = NestedAdam.Moments(
            mean: try reader.take("m/\(name)", shape), square: try reader.take("v/\(name)", shape))
        }
        // A chain is there from the first step after a boundary until the next one.
        guard config.inactiveGradients != .discard, tier.hasOpenWindow(after: step) else { continue }
        for g in chains.indices { chains[g][name] = try reader.take("window/\(g)/\(name)", shape) }
      }
    }
    let consolidation = try Self.consolidation(of: &reader, config, shapes)
    try reader.finish()
    let optimizer = NestedAdam(
      config: config, updateCounts: counts,
      correctedUpdates: consolidation.map { _ in [Consolidation.correctedUpdates(config, step: step)] },
      moments: moments)
    try self.init(
      config: config, scheduler: scheduler, parameters: parameters, shapes: shapes, step: step,
      optimizer: optimizer, window: GradientWindow(chains: chains), consolidation: consolidation)
  }

  private static func consolidation(
    of reader: inout SnapshotReader, _ config: NestedLearningConfig, _ shapes: [String: [Int]]
  ) throws(TrainerError) -> Consolidation? {
    guard config.tierMode == .consolidate else { return nil }
    var copies: [[String: [Float]]] = []
    var moments: [[String: NestedAdam.Moments]] = []
    var start: [String: [Float]] = [:]
    for level in 1..<max(1, config.numTiers) {
      var (copy, copyMoments): ([String: [Float]], [String: NestedAdam.Moments]) = ([:], [:])
      for (name, shape) in shapes {
        copy[name] = try reader.take("copies/\(level)/\(name)", shape)
        guard Consolidation.followMoments(config) else { continue }
        copyMoments[name] = NestedAdam.Moments(
          mean: try reader.take("copy_m/\(level)/\(name)", shape),
          square: try reader.take("copy_v/\(level)/\(name)", shape))
      }
      copies.append(copy)
      moments.append(copyMoments)
    }
    for (name, shape) in shapes where config.anchor > 0 {
      start[name] = try reader.take("start/\(name)", shape)
    }
    return Consolidation(config: config, copies: copies, moments: moments, start: start)
  }

  private static func numbers(
    of snapshot: TrainerSnapshot, tierCount: Int
  ) throws(TrainerError) -> (step: Int, counts: [Int]) {
    guard snapshot.numbers["format"]?.int == 1 else { throw .snapshot("is not of format 1") }
    guard let step = snapshot.numbers["step"]?.int, step >= 0 else { throw .snapshot("names no step") }
    let counts = (snapshot.numbers["update_counts"]?.array ?? []).compactMap(\.int)
    guard counts.count == tierCount, counts.allSatisfy({ (0...step).contains($0) }) else {
      throw .snapshot("does not have the update counts of \(tierCount) tiers")
    }
    return (step, counts)
  }
}

/// Takes tensors out of a snapshot, each once.
private struct SnapshotReader {
  private var tensors: [String: NamedTensor]

  init(_ snapshot: TrainerSnapshot) {
    tensors = Dictionary(snapshot.tensors.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
  }

  mutating func take(_ name: String, _ shape: [Int]) throws(TrainerError) -> [Float] {
    guard let tensor = tensors.removeValue(forKey: name) else { throw .snapshot("lacks the tensor \(name)") }
    guard tensor.shape == shape, NestedTrainerState.count(of: shape) == tensor.values.count else {
      throw .snapshot("has the tensor \(name) with the shape \(tensor.shape), not \(shape)")
    }
    return tensor.values
  }

  func finish() throws(TrainerError) {
    if let name = tensors.keys.sortedByBytes().first { throw .snapshot("has an unknown tensor, \(name)") }
  }
}
