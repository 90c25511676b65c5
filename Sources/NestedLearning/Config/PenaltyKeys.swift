import JSON

// The keys of what holds parameters where training began, and of the scale that is looked for at the end.
extension NestedLearningConfig {
  static let penaltyKeys: [ConfigKey] = [
    .number(
      "ewc_lambda", \.ewcLambda, "of at least 0", { $0 >= 0 },
      "Elastic weight consolidation: λF(θ − θ_start) is added to gradients, F the diagonal Fisher information on "
        + "ewc_data_path."),
    .integer("ewc_rows", \.ewcRows, 1...65_535, "Rows, from the first on, of which F is the mean."),
    .optionalPath(
      "ewc_data_path", \.ewcDataPath,
      "Rows that F is measured on: a file or a folder, as train_data_path; else the rehearsed ones."),
    .number(
      "l2_sp_lambda", \.l2spLambda, "of at least 0", { $0 >= 0 },
      "L2-SP: λ(θ − θ_start) is added to gradients."),
  ]

  func checkPenalties(_ source: ConfigSource) throws(ConfigError) {
    guard ewcLambda > 0 else {
      for (key, isGiven) in [("ewc_rows", ewcRows != 256), ("ewc_data_path", ewcDataPath != nil)]
      where isGiven {
        throw source.error(key, "has no effect without ewc_lambda", "set that, or leave out \(key)")
      }
      return
    }
    guard ewcDataPath != nil || replay == .self || replayDataPath != nil else {
      throw source.error(
        "ewc_lambda", "needs rows to measure on, and there are none",
        "give ewc_data_path, set replay to self, or give replay_data_path")
    }
  }

  func checkScale(_ source: ConfigSource) throws(ConfigError) {
    guard selectScale else {
      guard scaleTolerance == 0.01 else {
        throw source.error(
          "scale_tolerance", "has no effect without select_scale",
          "set that to true, or leave out scale_tolerance")
      }
      return
    }
    if trainable == .full {
      throw source.error(
        "select_scale", "is for adapters, and trainable full has none",
        "set trainable to lora, or leave it out")
    }
    if !modulesToSave.isEmpty || !addTokens.isEmpty {
      throw source.error(
        "select_scale", "scales the LoRA pairs, and what modules_to_save and add_tokens train has no scale",
        "leave out \(modulesToSave.isEmpty ? "add_tokens" : "modules_to_save"), or select_scale")
    }
  }
}
