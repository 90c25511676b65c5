import JSON

// The keys of how the learning rate goes on after the warm-up.
extension NestedLearningConfig {
  static let scheduleKeys: [ConfigKey] = [
    .choice(
      "lr_schedule", \.lrSchedule,
      "Shape of the learning rate after warm-up; plateau: it falls when the validation loss no longer does."),
    .number(
      "lr_end", \.lrEnd, "of at least 0", { $0 >= 0 },
      "What linear, cosine and polynomial fall to; of plateau, the lowest rate (0: 1e-7)."),
    .number("lr_power", \.lrPower, "above 0", { $0 > 0 }, "Of polynomial: the power of what is left."),
    .number(
      "plateau_factor", \.plateauFactor, "above 0 and below 1", { $0 > 0 && $0 < 1 },
      "What plateau multiplies the rate by."),
    .integer(
      "plateau_patience", \.plateauPatience, 0...1_000_000_000,
      "Evaluations in a row without a better loss that plateau bears; one more, and the rate falls."),
  ]

  /// A key that nothing reads would be ignored in silence.
  func checkSchedule(_ source: ConfigSource) throws(ConfigError) {
    let owned: [(key: String, kinds: [LearningRateScheduleKind], isGiven: Bool)] = [
      ("lr_end", [.linear, .cosine, .polynomial, .plateau], lrEnd != 0),
      ("lr_power", [.polynomial], lrPower != 1),
      ("plateau_factor", [.plateau], plateauFactor != 0.5),
      ("plateau_patience", [.plateau], plateauPatience != 5),
    ]
    for (key, kinds, isGiven) in owned where isGiven && !kinds.contains(lrSchedule) {
      throw source.error(
        key, "is only for lr_schedule \(kinds.map(\.rawValue).joined(separator: ", "))",
        "set one of these, or leave out \(key)")
    }
    guard lrEnd <= learningRate else {
      throw source.error(
        "lr_end", "is \(lrEnd), above learning_rate, which is \(learningRate)",
        "the rate falls to it: give a lower one")
    }
  }
}
