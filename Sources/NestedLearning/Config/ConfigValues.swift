import JSON

/// `trainable`: which weights a run trains.
public enum TrainableWeights: String, Sendable, CaseIterable { case lora, full }

/// `mixed_precision`: whether products with the model's matrices are in bf16 with f32 sums; `arithmetic` says so, too, and
/// more besides.
public enum MixedPrecision: Sendable, Equatable, CaseIterable {
  /// `false`: in f32.
  case off
  /// `true`: in the order that is fast on the coordinator's CPU, `bf16_dot` or `bf16_tiles`.
  case eitherBF16
  /// `"amx"`: `bf16_tiles`.
  case bf16Tiles

  /// What it asks for; nil: either of the two in bf16.
  public var arithmetic: Arithmetic? {
    switch self {
    case .off: .f32
    case .eitherBF16: nil
    case .bf16Tiles: .bf16Tiles
    }
  }

  func allows(_ arithmetic: Arithmetic) -> Bool {
    switch self {
    case .off: arithmetic.isExact
    case .eitherBF16: !arithmetic.isExact
    case .bf16Tiles: arithmetic == .bf16Tiles
    }
  }

  var json: JSONValue {
    switch self {
    case .off: false
    case .eitherBF16: true
    case .bf16Tiles: "amx"
    }
  }
}

/// `arithmetic`: how products with the model's frozen matrices are computed. Every CPU can compute each, to the same
/// bits; which are fast is the CPU's affair.
public enum Arithmetic: String, Sendable, CaseIterable {
  /// Fused multiply-adds in f32.
  case f32
  /// As exact, by tiles of bf16: of three terms of each activation.
  case f32Tiles = "f32_tiles"
  /// Both sides rounded to bf16, sums in f32, added pair by pair as AVX512_BF16 does.
  case bf16Dot = "bf16_dot"
  /// The same, added 32 at a time as AMX does.
  case bf16Tiles = "bf16_tiles"
  /// `f32` or `f32_tiles`, whichever is fast on the coordinator's CPU. A run's own config.json says which.
  case auto

  /// Whether it is as exact as f32.
  public var isExact: Bool { self != .bf16Dot && self != .bf16Tiles }

  /// What `mixed_precision` says of it.
  public var mixedPrecision: MixedPrecision {
    switch self {
    case .f32, .f32Tiles, .auto: .off
    case .bf16Dot: .eitherBF16
    case .bf16Tiles: .bf16Tiles
    }
  }
}

/// `activation_checkpointing`: what workers keep between the forward and the backward pass. No bit depends on it.
public enum ActivationCheckpointing: String, Sendable, CaseIterable {
  case none
  /// The inputs of layers; the rest is computed once more.
  case layer
}

/// `tier_assignment_strategy`: how parameters are divided into tiers, a module at a time.
public enum TierAssignmentStrategy: String, Sendable, CaseIterable {
  case layerDepth = "layer_depth"
  case parameterImportance = "parameter_importance"
  case manual
  case moduleType = "module_type"
  case random
}

/// `tier_order`: which end of the network `layer_depth` puts in tier 0.
public enum TierOrder: String, Sendable, CaseIterable {
  case shallowFast = "shallow_fast"
  case deepFast = "deep_fast"
}

/// `inactive_gradients`: what becomes of a tier's gradients at the steps at which it is not updated.
public enum InactiveGradients: String, Sendable, CaseIterable {
  /// They are not computed.
  case discard
  /// The update applies the mean over the window of f steps.
  case mean
  /// The update applies the sum over the window of f steps.
  case sum
}

/// `tier_lr_scale`: what the scheduled rate is multiplied by for each tier.
public enum TierLearningRateScale: Sendable, Equatable {
  case none
  /// 1/f for a tier that is updated every f steps.
  case inverseFrequency
  case list([Double])

  public func scale(tier: Int, frequency: Int) -> Double {
    switch self {
    case .none: 1
    case .inverseFrequency: 1 / Double(frequency)
    case .list(let scales): scales.indices.contains(tier) ? scales[tier] : 1
    }
  }
}

/// `optimizer`: the update rule.
public enum OptimizerKind: String, Sendable, CaseIterable { case adam, adamw, sgd }

/// `lr_schedule`: the shape of the learning rate after warm-up.
public enum LearningRateScheduleKind: String, Sendable, CaseIterable {
  case constant, linear, cosine, polynomial
  case slantedTriangular = "slanted_triangular"
  case plateau
}

/// `manual_tier_map`: patterns of module names and the tiers they go to.
public struct ManualTierMap: Sendable, Equatable {
  public struct Entry: Sendable, Equatable {
    /// A module name in which `*` stands for any run of characters, dots among them.
    public let pattern: String
    public let tier: Int

    public init(pattern: String, tier: Int) {
      self.pattern = pattern
      self.tier = tier
    }
  }

  public let entries: [Entry]
  /// True for a list, in which the first match wins; false for an object, whose members have no order, so that
  /// a name that matches two patterns is an error.
  public let isOrdered: Bool

  public init(entries: [Entry], isOrdered: Bool = true) {
    self.entries = entries
    self.isOrdered = isOrdered
  }

  func json() -> JSONValue {
    isOrdered
      ? .array(entries.map { ["pattern": .string($0.pattern), "tier": .number($0.tier)] })
      : .object(JSONObject(entries.map { .init(key: $0.pattern, value: .number($0.tier)) }))
  }
}

/// `exclude_modules`: names of modules, or a regular expression for their whole paths.
public enum ModuleNames: Sendable, Equatable {
  case names([String])
  case pattern(String)
}

/// An entry of `rank_pattern` or `alpha_pattern`: a regular expression for the path of a module, or for its end after a
/// dot, and the value of the modules that it matches.
public struct ModuleValue<Value: Sendable & Equatable>: Sendable, Equatable {
  public let pattern: String
  public let value: Value

  public init(pattern: String, value: Value) {
    self.pattern = pattern
    self.value = value
  }
}

/// `long_rows`: what becomes of rows with more tokens than `max_seq_length`, their EOS counted.
public enum LongRows: String, Sendable, CaseIterable {
  /// The first `max_seq_length` tokens, without an EOS; the others are left out.
  case cut
  /// Consecutive rows of `max_seq_length` tokens; the EOS ends the last alone.
  case split
  /// The run does not begin.
  case error
}

/// `train_on`: which tokens of a row have a loss.
public enum TrainOn: String, Sendable, CaseIterable {
  /// Those of completions and of the assistant's turns; of rows of plain text all.
  case completions
  case all
}
