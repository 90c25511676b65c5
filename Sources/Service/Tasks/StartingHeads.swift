import LanguageModel
import NestedLearning

extension TaskHead {
  init(_ task: TaskDefinition) {
    let kind: Kind =
      switch task.kind {
      case .classification: .classification
      case .tokenClassification: .tokenClassification
      case .languageModeling: .languageModeling
      }
    self.init(
      name: task.name, kind: kind, labels: task.labels, hiddenSize: task.hiddenSize,
      dropout: Float(task.dropout))
  }

  fileprivate var definition: TaskDefinition {
    let kind: TaskDefinition.Kind =
      switch kind {
      case .classification: .classification
      case .tokenClassification: .tokenClassification
      case .languageModeling: .languageModeling
      }
    return TaskDefinition(
      name: name, kind: kind, labels: labels, hiddenSize: hiddenSize, dropout: Double("\(dropout)") ?? 0)
  }
}

/// The heads of a run that goes on from an adapter: those of its config, or the adapter's where the config names none. A
/// task that the adapter has a head for, by its name, goes on from that; so does an only task from the head of PEFT's form
/// for one task. The others begin anew.
struct StartingHeads {
  let heads: [TaskHead]
  let definitions: [TaskDefinition]
  let learnsTaskWeights: Bool
  let tensors: [String: HostTensor]

  /// - Throws: `ConfigError` if a head of the adapter does not fit the task of its name.
  init(
    _ adapter: AdapterWeights, model: ModelConfiguration, config: NestedLearningConfig, path: String
  ) throws(ConfigError) {
    let own = adapter.specification.heads
    guard config.explicitKeys.contains("tasks") || !config.tasks.isEmpty else {
      (heads, definitions) = (own, own.map(\.definition))
      learnsTaskWeights = !own.isEmpty && config.tasksWeighting == .uncertainty
      tensors = Self.withWeights(
        learnsTaskWeights, of: own, adapter, tensors: adapter.heads)
      return
    }
    definitions = config.tasks
    heads = config.tasks.map(TaskHead.init)
    var tensors: [String: HostTensor] = [:]
    for head in heads {
      let fresh = head.freshTensors(model: model, seed: config.seed)
      guard let known = Self.head(own, for: head, of: heads.count) else {
        tensors.merge(fresh) { first, _ in first }
        continue
      }
      for (name, tensor) in fresh {
        let part = name.dropFirst("\(TaskHead.prefix)\(head.name).".count)
        let loaded = adapter.heads["\(TaskHead.prefix)\(known.name).\(part)"]
        guard let loaded, loaded.shape == tensor.shape, known.kind == head.kind else {
          throw ConfigError(
            file: "config", key: "tasks",
            reason: "task \(head.name) is not what its head in \(path) was made for: its \(part) is of shape "
              + "\(tensor.shape), and that of the head "
              + (loaded.map { "of shape \($0.shape), for \(known.kind.rawValue)" } ?? "is not there"),
            remedy: "give the task its type, its labels and its hidden_size as they were, or another name")
        }
        tensors[name] = loaded
      }
    }
    learnsTaskWeights = config.tasksWeighting == .uncertainty
    self.tensors = Self.withWeights(learnsTaskWeights, of: heads, adapter, tensors: tensors)
  }

  /// ln σ² of the adapter's tasks, where these are the same, and else 0.
  private static func withWeights(
    _ areLearned: Bool, of heads: [TaskHead], _ adapter: AdapterWeights, tensors: [String: HostTensor]
  ) -> [String: HostTensor] {
    var tensors = tensors
    let known =
      tensors.removeValue(forKey: TaskHead.logVariancesName)
      ?? adapter.heads[TaskHead.logVariancesName]
    // GradNorm begins anew.
    tensors[TaskHead.weightsName] = nil
    guard areLearned else { return tensors }
    let isOfThese = adapter.specification.heads.map(\.name) == heads.map(\.name)
    tensors[TaskHead.logVariancesName] =
      known.flatMap { isOfThese ? $0 : nil } ?? HostTensor(zeros: [heads.count])
    return tensors
  }

  private static func head(_ own: [TaskHead], for head: TaskHead, of count: Int) -> TaskHead? {
    if let known = own.first(where: { $0.name == head.name }) { return known }
    // PEFT does not say what an only task is called.
    guard count == 1, own.count == 1, own[0].name == "default", own[0].kind == head.kind else { return nil }
    return own[0]
  }
}
