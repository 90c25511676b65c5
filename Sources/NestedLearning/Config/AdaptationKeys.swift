import JSON

/// A part of `freeze`.
public enum FrozenPart: Sendable, Equatable {
  /// What stands before the first block.
  case embeddings
  /// Blocks by their numbers, from 0.
  case layers(ClosedRange<Int>)

  var isEmbeddings: Bool { self == .embeddings }

  func holds(_ layer: Int) -> Bool {
    if case .layers(let range) = self { range.contains(layer) } else { false }
  }

  /// As it stands in a config: `embeddings`, `3` or `0-5`.
  public var text: String {
    switch self {
    case .embeddings: "embeddings"
    case .layers(let range):
      range.count == 1 ? "\(range.lowerBound)" : "\(range.lowerBound)-\(range.upperBound)"
    }
  }

  init?(text: String) {
    if text == "embeddings" {
      self = .embeddings
      return
    }
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { Int($0) }
    guard ends.count <= 2, let first = ends.first ?? nil, let last = ends.last ?? nil,
      (0...100_000).contains(first), (first...100_000).contains(last)
    else { return nil }
    self = .layers(first...last)
  }
}

/// `unfreeze`: how layers begin to learn.
public enum Unfreezing: String, Sendable, CaseIterable {
  /// All at once, or as `unfreeze_schedule` says.
  case none
  /// The last layer first, then one more at each epoch.
  case gradual
}

/// An entry of `unfreeze_schedule`: from when on how many of the last layers learn.
public struct UnfreezeStage: Sendable, Equatable {
  public enum Moment: Sendable, Equatable {
    /// When so many epochs are over.
    case epoch(Int)
    /// 1-based.
    case step(Int)
  }

  public let at: Moment
  public let layers: Int

  public init(at moment: Moment, layers: Int) {
    self.at = moment
    self.layers = layers
  }

  /// As in `2` or `step 100`.
  var name: String {
    switch at {
    case .epoch(let epoch): "\(epoch)"
    case .step(let step): "step \(step)"
    }
  }

  init?(name: String, layers: Int) {
    let words = name.split(separator: " ")
    guard let number = words.last.flatMap({ Int($0) }), (0...1_000_000_000).contains(number) else {
      return nil
    }
    switch (words.count, words.first) {
    case (1, _), (2, "epoch"): self.init(at: .epoch(number), layers: layers)
    case (2, "step") where number > 0: self.init(at: .step(number), layers: layers)
    default: return nil
    }
  }
}

// The keys of which layers learn, when, and how fast.
extension NestedLearningConfig {
  static let adaptationKeys: [ConfigKey] = [
    ConfigKey(
      "freeze", .strings,
      "What never learns: embeddings, and layers by their numbers from 0, as in embeddings 0-3 7.",
      read: { (config, value) throws(ConfigValueError) in
        config.freeze =
          value.isNull
          ? []
          : try ConfigKey.list(value, "a list such as [\"embeddings\", \"0-3\"]") {
            (item) throws(ConfigValueError) in
            guard let part = FrozenPart(text: item.string ?? item.int.map(String.init) ?? "") else {
              throw .type("embeddings, the number of a layer, or a range such as 0-3", item)
            }
            return part
          }
      },
      write: { $0.freeze.isEmpty ? .null : .strings($0.freeze.map(\.text)) }),
    .choice(
      "unfreeze", \.unfreeze, "gradual: the last layer learns first, and one more with each epoch."),
    ConfigKey(
      "unfreeze_schedule", .numberMap,
      "How many of the last layers learn from an epoch (as 2) or a step (as \"step 100\") on; one, before the first of "
        + "these. More than there are stands for all, embeddings among them; 0, at the start, for none: heads learn alone.",
      read: { (config, value) throws(ConfigValueError) in
        config.unfreezeSchedule = []
        guard !value.isNull else { return }
        for entry in try entries(
          value,
          { (value) throws(ConfigValueError) in try ConfigKey.whole(value, 0...100_000) })
        {
          guard let stage = UnfreezeStage(name: entry.pattern, layers: entry.value) else {
            throw ConfigValueError(
              reason: "\"\(entry.pattern)\" is neither an epoch nor a step",
              remedy: #"write {"1": 2, "2": 4} for epochs, or {"step 100": 2} for steps"#)
          }
          config.unfreezeSchedule.append(stage)
        }
      },
      write: { config in
        if config.unfreezeSchedule.isEmpty { return .null }
        return .object(
          JSONObject(config.unfreezeSchedule.map { .init(key: $0.name, value: .number($0.layers)) }))
      }),
    .number(
      "layer_lr_decay", \.layerLrDecay, "above 0 and at most 1", { $0 > 0 && $0 <= 1 },
      "What the rate is multiplied by from a layer to the one before it; the last one has the base rate."),
    ConfigKey(
      "lr_groups", .numberMap,
      "What the rates of parameters are multiplied by, by patterns of their names, as in *.lora_b=16.",
      read: { (config, value) throws(ConfigValueError) in
        config.lrGroups =
          value.isNull
          ? []
          : try entries(value) { (value) throws(ConfigValueError) in
            try ConfigKey.real(value, "a number of at least 0", { $0 >= 0 })
          }.map { ModuleValue(pattern: $0.pattern, value: $0.value) }
      },
      write: { config in
        if config.lrGroups.isEmpty { return .null }
        return .object(JSONObject(config.lrGroups.map { .init(key: $0.pattern, value: .number($0.value)) }))
      }),
  ]

  /// Whether the data have to be known for the tiers to be.
  public var unfreezesByEpoch: Bool {
    unfreeze == .gradual
      || unfreezeSchedule.contains { if case .epoch(let epoch) = $0.at { epoch > 0 } else { false } }
  }

  func checkAdaptation(_ source: ConfigSource) throws(ConfigError) {
    if unfreeze == .gradual, !unfreezeSchedule.isEmpty {
      throw source.error(
        "unfreeze_schedule", "contradicts unfreeze gradual, which says by itself when layers begin to learn",
        "leave out one of the two")
    }
    if Set(unfreezeSchedule.map(\.name)).count < unfreezeSchedule.count {
      throw source.error(
        "unfreeze_schedule", "says twice what happens at one step or epoch", "leave out one of them")
    }
    if let stage = unfreezeSchedule.first(where: { $0.layers == 0 && $0.at != .epoch(0) && $0.at != .step(1) }
    ) {
      throw source.error(
        "unfreeze_schedule", "has 0 layers at \(stage.name), and layers that learn are not frozen again",
        "0 is for the start alone, as in {\"step 1\": 0}")
    }
    let isGiven = [
      ("freeze", !freeze.isEmpty), ("unfreeze", unfreeze != .none),
      ("unfreeze_schedule", !unfreezeSchedule.isEmpty),
    ]
    for (key, isGiven) in isGiven where isGiven && tierMode == .consolidate {
      throw source.error(
        key, "is for tier_mode layers: with consolidate every layer is in every tier",
        "leave out one of the two")
    }
  }
}
