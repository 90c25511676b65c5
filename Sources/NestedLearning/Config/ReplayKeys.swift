import JSON

/// `replay`: where rows come from that are rehearsed among those of the task.
public enum ReplaySource: String, Sendable, CaseIterable {
  /// `replay_data_path`; nowhere, if that is not given.
  case data
  /// The base model writes them itself, once, before training.
  case `self`
}

/// `replay_at`: at which steps.
public enum ReplayAt: String, Sendable, CaseIterable {
  case always
  /// Those at which the slowest tier is updated.
  case boundaries
}

/// `replay_targets`: what replayed tokens are to be.
public enum ReplayTargets: String, Sendable, CaseIterable {
  /// The token that follows.
  case hard
  /// The base model's distribution.
  case soft
}

/// `kl_on`: which rows `kl_to_base` holds.
public enum KLRows: String, Sendable, CaseIterable { case replay, all }

/// `loss`: how the tokens of task rows count.
public enum LossKind: String, Sendable, CaseIterable {
  /// Each alike.
  case ce
  /// By the entropy of what the model holds likely there (arXiv 2601.02151).
  case eaft
  /// By how well the model knew their row when training began: c = e^(−ℓ̄/τ) ÷ its mean over the rows, with the row's mean
  /// cross entropy ℓ̄ and the lower median τ of these.
  case flow
  /// Those alone whose cross entropy was at most ln 2.5 when training began.
  case stm

  /// Whether the cross entropy of every token at the start decides how it counts.
  public var needsTokenLosses: Bool { self == .flow || self == .stm }
}

// The keys of rows that are rehearsed, and of what gradients are of.
extension NestedLearningConfig {
  static let objectiveKeys: [ConfigKey] = [
    .choice(
      "loss", \.loss,
      "How the tokens of task rows count: alike (ce), by the entropy of the model's 20 likeliest tokens (eaft), by how well "
        + "the model knew their row at the start (flow), or only those that it gave at least 40 % at the start (stm)."
    ),
    .choice(
      "replay", \.replay,
      "Rows rehearsed among those of the task: of replay_data_path (data), or texts that the base model writes itself "
        + "before training (self)."),
    .optionalPath(
      "replay_data_path", \.replayDataPath, "Rows to rehearse: a file or a folder, as train_data_path."),
    .number(
      "replay_fraction", \.replayFraction, "above 0 and up to 1", { $0 > 0 && $0 <= 1 },
      "Share of the rows that are rehearsed, where there are any to rehearse."),
    .choice(
      "replay_at", \.replayAt,
      "At which steps rows are rehearsed: always, or boundaries, those of the slowest tier."),
    .choice(
      "replay_targets", \.replayTargets,
      "What rehearsed tokens are to be: the token that follows (hard), or the base model's distribution (soft)."
    ),
    .integer(
      "self_replay_samples", \.selfReplaySamples, 1...1_000_000,
      "Texts that the base model writes for replay self."),
    selfReplayTokensKey, selfReplayPromptsKey,
    .number(
      "self_replay_prompted", \.selfReplayPrompted, "from 0 to 1", { $0 >= 0 && $0 <= 1 },
      "Share of these texts that begin with a prompt, where prompts are given."),
    .number(
      "kl_to_base", \.klToBase, "of at least 0", { $0 >= 0 },
      "Factor of KL(base ‖ model), added to the loss of rehearsed rows, or of all."),
    .choice("kl_on", \.klOn, "Rows that kl_to_base holds: those rehearsed, or all."),
  ]

  private static let selfReplayTokensKey = ConfigKey(
    "self_replay_tokens", .integer, "Tokens of such a text at most, up to max_seq_length; else that many.",
    read: { (config, value) throws(ConfigValueError) in
      config.selfReplayTokens = value.isNull ? nil : try ConfigKey.whole(value, 2...1_048_576)
    },
    write: { $0.selfReplayTokens.map { .number($0) } ?? .null })

  private static let selfReplayPromptsKey = ConfigKey(
    "self_replay_prompts", .strings, "Beginnings of some of these texts, in turn.",
    read: { (config, value) throws(ConfigValueError) in
      let expected = "a list of texts such as \"The capital of\""
      guard !value.isNull, value.array?.isEmpty != true else {
        config.selfReplayPrompts = []
        return
      }
      config.selfReplayPrompts = try ConfigKey.list(value, expected) { (item) throws(ConfigValueError) in
        guard let text = item.string, !text.isEmpty else { throw .type(expected, value) }
        return text
      }
    },
    write: { .strings($0.selfReplayPrompts) })

  /// The rules of what gradients are of.
  func checkObjective(_ source: ConfigSource) throws(ConfigError) {
    if replay == .self, replayDataPath != nil {
      throw source.error(
        "replay_data_path", "is given, and replay is self",
        "leave out one of the two: rows come from one place")
    }
    let hasReplay = replay == .self || replayDataPath != nil
    if !hasReplay {
      for (key, isGiven) in [
        ("replay_fraction", replayFraction != 0.25), ("replay_at", replayAt != .always),
        ("replay_targets", replayTargets != .hard),
      ] where isGiven {
        throw source.error(
          key, "has no effect without rows to rehearse", "set replay to self, or give replay_data_path")
      }
      if klToBase > 0, klOn == .replay {
        throw source.error(
          "kl_to_base", "holds rehearsed rows, and there are none",
          "set kl_on to all, set replay to self, or give replay_data_path")
      }
    }
    if replay != .self {
      for (key, isGiven) in [
        ("self_replay_prompts", !selfReplayPrompts.isEmpty),
        ("self_replay_samples", selfReplaySamples != 512),
      ] where isGiven { throw source.error(key, "is only for replay self", "set that, or leave out \(key)") }
    }
    if replayFraction == 1, replayAt == .always, hasReplay {
      throw source.error(
        "replay_fraction", "is 1 at every step, so that the task is never trained on",
        "lower it, or set replay_at to boundaries")
    }
    try checkBase(source)
  }

  /// What needs the base model's distributions needs an adapter that can be left off.
  private func checkBase(_ source: ConfigSource) throws(ConfigError) {
    let key = klToBase > 0 ? "kl_to_base" : replayTargets == .soft ? "replay_targets" : nil
    guard let key else { return }
    if trainable == .full {
      throw source.error(
        key, "needs the base model beside the trained one, and trainable full has no other",
        "set trainable to lora, or leave out \(key)")
    }
    if !modulesToSave.isEmpty || !addTokens.isEmpty {
      throw source.error(
        key, "needs the base model beside the trained one, which modules_to_save and add_tokens change",
        "leave out \(modulesToSave.isEmpty ? "add_tokens" : "modules_to_save"), or \(key)")
    }
  }
}
