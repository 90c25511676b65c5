import JSON

/// `tasks_weighting`: what the mean loss of each task is multiplied by.
public enum TaskWeighting: String, Sendable, CaseIterable {
  /// 1.
  case equal
  /// ½e^(−s) with a trained s = ln σ² of each task, whose penalty is ½s (Kendall et al. 2018).
  case uncertainty
  /// w_i that bring the tasks to similar training rates by the norms of their gradients (GradNorm, Chen et al. 2018).
  case gradnorm
}

/// `tasks_schedule`: the rows of which tasks each micro-batch takes.
public enum TaskSchedule: String, Sendable, CaseIterable {
  /// Those that are next in the order of all rows: of each task as large a share as it has of them.
  case proportional
  /// Those of one task, the tasks taking turns.
  case roundRobin = "round_robin"
  /// Those of the task that had the lowest accuracy at the last evaluation; before the first, the tasks take turns.
  case worstFirst = "worst_first"
}

// The keys of tasks that share a transformer.
extension NestedLearningConfig {
  static let taskKeys: [ConfigKey] = [
    tasksKey,
    .choice(
      "tasks_weighting", \.tasksWeighting,
      "What each task's mean loss is multiplied by: 1 (equal), or a factor that is learned (uncertainty, Kendall et al. 2018), or "
        + "that balances how fast the tasks learn (gradnorm, Chen et al. 2018)."
    ),
    .number(
      "tasks_weighting_rate", \.tasksWeightingRate, "of at least 0", { $0 >= 0 },
      "Learning rate of what is learned for tasks_weighting, in place of learning_rate."),
    .number(
      "tasks_gradnorm_alpha", \.tasksGradnormAlpha, "of at least 0", { $0 >= 0 },
      "For gradnorm: how strongly slower tasks are pulled to the others."),
    .choice(
      "tasks_schedule", \.tasksSchedule,
      "Rows of a micro-batch: of all tasks as they come (proportional), or of one task: in turn "
        + "(round_robin), or the least accurate of the last evaluation (worst_first)."
    ),
  ]

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
    if tasksWeighting == .equal, tasksWeightingRate != 0.025 {
      throw source.error(
        "tasks_weighting_rate", "has no effect without tasks_weighting uncertainty or gradnorm",
        "set that, or leave out tasks_weighting_rate")
    }
    if tasksWeighting != .gradnorm, tasksGradnormAlpha != 1.5 {
      throw source.error(
        "tasks_gradnorm_alpha", "has no effect without tasks_weighting gradnorm",
        "set that, or leave out tasks_gradnorm_alpha")
    }
    try checkGradNorm(source)
    if tasksSchedule != .proportional, packing {
      throw source.error(
        "tasks_schedule", "is not combined with packing, which puts rows together as they come",
        "leave out one of the two")
    }
    if tasksSchedule != .proportional, trainDataFiles.contains(where: { $0.weight != 1 }) {
      throw source.error(
        "tasks_schedule", "is not combined with weights of files, which say how often their rows come",
        "leave out one of the two")
    }
    guard !tasks.isEmpty else {
      // An adapter may bring its tasks with it.
      guard adapterPath == nil else { return }
      for (key, isGiven) in [
        ("tasks_weighting", tasksWeighting != .equal), ("tasks_schedule", tasksSchedule != .proportional),
      ] where isGiven {
        throw source.error(key, "has no effect without tasks", "give tasks, or leave out \(key)")
      }
      return
    }
    let others: [(key: String, isGiven: Bool, why: String)] = [
      ("trainable", trainable == .full, "heads are trained beside LoRA pairs"),
      ("loss", loss != .ce, "it is about tokens of the vocabulary"),
      ("replay", replay == .self, "rehearsed rows have no task"),
      ("replay_data_path", replayDataPath != nil, "rehearsed rows have no task"),
      ("kl_to_base", klToBase > 0, "it is about tokens of the vocabulary"),
      ("ewc_lambda", ewcLambda > 0, "it is measured on rows without a task"),
      ("select_scale", selectScale, "heads have no scale"),
      ("long_rows", longRows == .split, "a row has one label"),
      ("sampling_mode", samplingMode != .shuffle, "tasks_schedule says which rows come"),
      ("curriculum_strategy", curriculumStrategy != .none, "tasks_schedule says which rows come"),
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

  /// GradNorm compares the tasks at each step, so that each has to be in every one.
  private func checkGradNorm(_ source: ConfigSource) throws(ConfigError) {
    guard tasksWeighting == .gradnorm, !tasks.isEmpty else { return }
    guard tasks.count > 1 else {
      throw source.error("tasks_weighting", "gradnorm needs several tasks", "give more, or use equal")
    }
    guard tasksSchedule == .roundRobin, gradientAccumulationSteps % tasks.count == 0 else {
      throw source.error(
        "tasks_weighting", "gradnorm needs every task in every step",
        "set tasks_schedule to round_robin, and gradient_accumulation_steps to a multiple of the \(tasks.count) tasks"
      )
    }
    guard tierMode == .layers, tierUpdateFrequencies.first == 1 else {
      throw source.error(
        "tasks_weighting", "gradnorm updates weights at each step, with tier 0",
        "let the first of tier_update_frequencies be 1, and tier_mode be layers")
    }
  }
}
