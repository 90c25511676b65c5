import Dataset
import Files
import JSON
import NestedLearning
import Service
import Synchronization

/// `POST /nested-learning/preview`: what a run would be, before anything of it is begun.
final class Preview: Sendable {
  private let policy: PathPolicy
  private let summaries: RunSummaries
  private let isBusy = Mutex(false)
  private static let examples = 3
  private static let mostCharacters = 600

  init(_ policy: PathPolicy, _ summaries: RunSummaries) {
    self.policy = policy
    self.summaries = summaries
  }

  /// - Throws: what is wrong with the config, with its key; 429 while another is being made, as each reads a model.
  func of(_ body: JSONObject) throws -> JSONValue {
    let taken = isBusy.withLock { busy in
      defer { busy = true }
      return !busy
    }
    guard taken else {
      throw RunRequestError(.tooMany, "another preview is being made", hint: "ask again in a second")
    }
    defer { isBusy.withLock { $0 = false } }
    var body = body
    if body["experiment_name"] == nil { body["experiment_name"] = "preview" }
    let resolved = try policy.resolved(body)
    let config = try NestedLearningConfig(object: resolved, file: "the request")
    let plan = try RunPlan(config: Self.withoutMeasuring(config))
    return [
      "valid": true, "config": config.json(), "summary": .string(plan.summary),
      "warnings": .strings(plan.warnings + Self.warnings(config, plan)), "tiers": .array(Self.tiers(plan)),
      "layers": .array(Self.layers(plan)), "data": Self.data(config), "estimate": estimate(config, plan),
      "command_line": .string(CommandLine.of(resolved)), "yaml": .string(YAMLText.of(resolved)),
    ]
  }

  /// What workers are to measure, or write, takes minutes; that is done when the run begins.
  private static func withoutMeasuring(_ config: NestedLearningConfig) -> NestedLearningConfig {
    var config = config
    config.ewcLambda = 0
    if config.loss.needsTokenLosses { config.loss = .ce }
    if config.tierAssignmentStrategy == .parameterImportance {
      config.tierAssignmentStrategy = .layerDepth
    }
    guard config.replay == .`self` else { return config }
    config.replay = .data
    config.replayDataPath = nil
    config.replayTargets = .hard
    return config
  }

  private static func warnings(_ config: NestedLearningConfig, _ plan: RunPlan) -> [String] {
    let writes =
      config.replay == .`self`
      ? ["the base model writes \(config.selfReplaySamples) texts before the first step"] : []
    let measures =
      config.tierAssignmentStrategy == .parameterImportance
      ? ["which modules are in which tier is measured before the first step; shown is layer_depth"] : []
    return writes + measures + [(try? plan.checkDisk()) ?? nil].compactMap(\.self)
  }

  private static func tiers(_ plan: RunPlan) -> [JSONValue] {
    plan.scheduler.shownTiers.map { tier in
      var members: JSONObject = [
        "tier": .number(tier.index), "frequency": .number(tier.frequency), "phase": .number(tier.phase),
        "parameter_count": .number(tier.parameterCount),
        "updates": .number(tier.updates(in: plan.config.numSteps)),
      ]
      if plan.scheduler.movesParameters { members["config_tier"] = .number(tier.configTier) }
      return .object(members)
    }
  }

  /// Of each layer, which tiers its parameters are in.
  private static func layers(_ plan: RunPlan) -> [JSONValue] {
    var layers: [Int: Set<Int>] = [:]
    for tier in plan.scheduler.shownTiers {
      for name in tier.parameters {
        guard let layer = layer(of: name) else { continue }
        layers[layer, default: []].insert(tier.index)
      }
    }
    return layers.sorted { $0.key < $1.key }.map {
      ["layer": .number($0.key), "tiers": .numbers($0.value.sorted())]
    }
  }

  /// The number that follows `layers` or `h` in a parameter's name.
  private static func layer(of name: String) -> Int? {
    let parts = name.split(separator: ".")
    guard let at = parts.firstIndex(where: { $0 == "layers" || $0 == "h" }), at + 1 < parts.count else {
      return nil
    }
    return Int(parts[at + 1])
  }

  /// What becomes of the rows of each file, with some of them as text again.
  private static func data(_ config: NestedLearningConfig) -> JSONValue {
    let training = config.trainDataFiles.isEmpty ? [config.trainDataPath] : config.trainDataFiles.map(\.path)
    let validation =
      config.valDataFiles.isEmpty ? [config.valDataPath].compactMap(\.self) : config.valDataFiles
    do {
      let inspection = try DataInspection(
        paths: training + validation, model: config.baseModelPath, options: RowOptions(config),
        trainOn: config.trainOn, exampleCount: examples, date: config.chatTemplateDate)
      return abridged(inspection.json)
    } catch { return ["error": .string("\(error)")] }
  }

  private static func abridged(_ value: JSONValue) -> JSONValue {
    switch value {
    case .string(let text) where text.count > mostCharacters: .string(text.prefix(mostCharacters) + " …")
    case .array(let items): .array(items.map(abridged))
    case .object(let object):
      .object(JSONObject(object.members.map { .init(key: $0.key, value: abridged($0.value)) }))
    default: value
    }
  }

  /// Memory by arithmetic; time by the newest run of the same model, since nothing else says how fast the workers are.
  private func estimate(_ config: NestedLearningConfig, _ plan: RunPlan) -> JSONValue {
    let model = ((try? FileSystem.names(in: config.baseModelPath)) ?? []).filter {
      $0.hasSuffix(".safetensors")
    }
    .reduce(0) { $0 + (FileSystem.size(config.baseModelPath + "/" + $1) ?? 0) }
    let like = summaries.all().first { summary in
      summary["base_model_path"]?.string == config.baseModelPath && (summary["current_step"]?.int ?? 0) >= 5
    }
    var seconds: JSONValue = .null
    if let like, let spent = like["seconds"]?.double, let steps = like["current_step"]?.int {
      seconds = .number(spent / Double(steps) * Double(config.numSteps))
    }
    return [
      "model_bytes": .number(model), "state_bytes": .number(plan.stateBytes),
      "checkpoint_bytes": .number(plan.checkpointBytes), "seconds": seconds,
      "seconds_from": like?["experiment_name"] ?? .null,
    ]
  }
}
