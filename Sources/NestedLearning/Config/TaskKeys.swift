import JSON

// The keys of tasks that share a transformer.
extension NestedLearningConfig {
  static let taskKeys: [ConfigKey] = [tasksKey]

  private static let tasksKey = ConfigKey(
    "tasks", .objects,
    "Tasks with heads of their own over the shared transformer, which rows name: objects with name, type (classification, "
      + "token_classification or language_modeling), labels, hidden_size and dropout.",
    read: { (config, value) throws(ConfigValueError) in
      config.tasks = []
      if value.isNull || value.array?.isEmpty == true { return }
      config.tasks = try ConfigKey.list(value, "a list of tasks") { (item) throws(ConfigValueError) in
        try TaskDefinition(item)
      }
      let names = config.tasks.map(\.name)
      guard Set(names).count == names.count, names.count <= 64 else {
        throw ConfigValueError(reason: "must name at most 64 tasks, each once")
      }
    },
    write: { $0.tasks.isEmpty ? .null : .array($0.tasks.map(\.json)) })

  /// What tasks are not combined with.
  func checkTasks(_ source: ConfigSource) throws(ConfigError) {
    guard !tasks.isEmpty else { return }
    let others: [(key: String, isGiven: Bool, why: String)] = [
      ("trainable", trainable == .full, "heads are trained beside LoRA pairs"),
      ("loss", loss != .ce, "it is about tokens of the vocabulary"),
      ("replay", replay == .self, "rehearsed rows have no task"),
      ("replay_data_path", replayDataPath != nil, "rehearsed rows have no task"),
      ("kl_to_base", klToBase > 0, "it is about tokens of the vocabulary"),
      ("ewc_lambda", ewcLambda > 0, "it is measured on rows without a task"),
      ("select_scale", selectScale, "heads have no scale"),
      ("long_rows", longRows == .split, "a row has one label"),
      (
        "tier_assignment_strategy", tierAssignmentStrategy == .parameterImportance,
        "importance is measured on rows without a task"
      ),
    ]
    for other in others where other.isGiven {
      throw source.error(
        other.key, "is not combined with tasks: \(other.why)", "leave out \(other.key), or tasks")
    }
  }
}
