import JSON
import LanguageModel
import NestedLearning

/// The tiers of a config: what is in each, when it is updated, and how often in the run. Made from config and model
/// alone; data are read only where modules are measured, or layers begin to learn by epochs.
public struct TierTable: Sendable {
  struct Row: Sendable {
    let tier: Tier
    /// Of the adapted layers, ascending.
    let layers: [Int]
    /// Sorted by the UTF-8 bytes of their names.
    let modules: [String]
    /// Of all trained numbers.
    let share: Double
    let updates: Int
    /// What the scheduled rate is multiplied by.
    let rateScale: Double
  }

  let config: NestedLearningConfig
  let rows: [Row]
  /// What the stages of the curriculum make of the tiers; empty where they change nothing.
  private let changes: [PlanChange]
  private let stageLines: [String]
  /// Whether stages of the curriculum move parameters, so that tiers of the config may be several here.
  private let movesParameters: Bool
  /// A line for each tier that hardly moves.
  public let warnings: [String]

  /// - Throws: what is wrong with the config, the model or their tiers, with file, line and key where there is one.
  ///
  /// - Parameters:
  ///   - threads: that measure how important modules are, where the strategy asks for it and nobody has done so
  ///   - progress: is told how far that has come
  public init(
    config: NestedLearningConfig, threads: Int = 1, progress: RunPlan.Progress = RunPlan.Progress()
  ) throws {
    guard !config.needsImportance, !config.unfreezesByEpoch else {
      let plan = try RunPlan.measuring(config: config, threads: threads, progress: progress)
      self.init(config: plan.config, scheduler: plan.scheduler, parameters: plan.parameters)
      return
    }
    let model = try TrainedModel(config: config)
    self.init(config: model.config, scheduler: model.scheduler, parameters: model.parameters)
  }

  init(config: NestedLearningConfig, scheduler: ParameterTierScheduler, parameters: [ParameterInfo]) {
    self.config = config
    let total = scheduler.tiers.reduce(0) { $0 + $1.parameterCount }
    let areCopies = scheduler.copyFrequencies != nil
    rows = scheduler.shownTiers.map { tier in
      let members = parameters.filter { areCopies || scheduler.tier(of: $0.name) == tier.index }
      return Row(
        tier: tier, layers: Set(members.compactMap(\.layer)).sorted(),
        modules: Set(members.map(\.module)).sortedByBytes(),
        share: Double(tier.parameterCount) / Double(max(1, total)),
        updates: tier.updates(in: config.numSteps), rateScale: scheduler.learningRateScale(tier.index))
    }
    warnings =
      scheduler.movementWarnings(numSteps: config.numSteps) + scheduler.moveWarnings(config)
    changes =
      config.changesPlans
      ? config.curriculumStages.indices.map { config.planChange(ofStage: $0, firstStep: 1, scheduler) } : []
    (stageLines, movesParameters) = (scheduler.stageLines, scheduler.movesParameters)
  }

  /// - Parameter listsModules: every module is named, below the table.
  public func text(listsModules: Bool = false) -> String {
    var table = TextTable(
      [.init(title: "Tier", isNumber: true)] + (movesParameters ? [.init(title: "As", isNumber: true)] : [])
        + [
          .init(title: "Period", isNumber: true),
          .init(title: "Phase", isNumber: true), .init(title: "Updates", isNumber: true),
          .init(title: "Rate", isNumber: true), .init(title: "Parameters", isNumber: true),
          .init(title: "Share", isNumber: true), .init(title: "Layers"), .init(title: "Modules"),
        ])
    for row in rows {
      table.add(
        ["\(row.tier.index)"] + (movesParameters ? ["\(row.tier.configTier)"] : []) + [
          "\(row.tier.frequency)", "\(row.tier.phase)", "\(row.updates)",
          "× \(ProgressLine.decimal(row.rateScale, places: 4))", "\(row.tier.parameterCount)",
          ProgressLine.decimal(100 * row.share, places: 1) + " %", Self.ranges(row.layers),
          Self.kinds(row.modules),
        ])
    }
    var lines = [heading, "", table.text]
    if !changes.isEmpty {
      lines += [""]
      if config.changesPeriods {
        lines += changes.enumerated().map { stage, change in
          "Stage \(stage): periods " + change.frequencies.map(String.init).joined(separator: ", ")
        }
      }
      lines += stageLines
      lines.append("Evaluations say when a stage begins; the table is of stage 0 to the end.")
    }
    let late = rows.filter { $0.tier.firstStep > 1 }
    if !late.isEmpty { lines += [""] + late.map { "Tier \($0.tier.index) learns \($0.tier.clockText)" } }
    if listsModules {
      for row in rows { lines += ["", "Tier \(row.tier.index)"] + row.modules.map { "  \($0)" } }
    }
    if !warnings.isEmpty { lines += [""] + warnings.map { "Warning: \($0)" } }
    return lines.joined(separator: "\n")
  }

  private var heading: String {
    if config.tierMode == .consolidate {
      let shares = config.consolidationShares.map { "\($0)" }.joined(separator: ", ")
      let copies = rows.count == 2 ? "1 slower copy follows" : "\(rows.count - 1) slower copies follow"
      return "All parameters learn at each step; \(copies) by \(shares); \(config.numSteps) steps"
    }
    var strategy = config.tierAssignmentStrategy.rawValue
    switch config.tierAssignmentStrategy {
    case .layerDepth: strategy += ", \(config.tierOrder.rawValue)"
    case .random: strategy += ", seed \(config.tierSeed ?? config.seed)"
    case .manual, .moduleType, .parameterImportance: break
    }
    return "\(rows.count) tier\(rows.count == 1 ? "" : "s") by \(strategy); gradients between updates: "
      + "\(config.inactiveGradients.rawValue); \(config.numSteps) steps"
  }

  public var json: JSONValue {
    var members = members
    if !changes.isEmpty { members["stages"] = .array(changes.map(\.json)) }
    return .object(members)
  }

  private var members: JSONObject {
    [
      "strategy": .string(config.tierAssignmentStrategy.rawValue), "num_steps": .number(config.numSteps),
      "tiers": .array(
        rows.map { row in
          var members: JSONObject = [
            "tier": .number(row.tier.index), "period": .number(row.tier.frequency),
            "phase": .number(row.tier.phase), "updates": .number(row.updates),
            "learning_rate_scale": .number(row.rateScale), "parameters": .number(row.tier.parameterCount),
            "share": .number(row.share), "layers": .numbers(row.layers), "modules": .strings(row.modules),
          ]
          if movesParameters { members["config_tier"] = .number(row.tier.configTier) }
          if row.tier.isFrozen {
            members["frozen"] = true
          } else if row.tier.firstStep > 1 {
            members["first_step"] = .number(row.tier.firstStep)
          }
          return .object(members)
        }),
      "warnings": .strings(warnings),
    ]
  }

  /// As in "0–3, 7"; "none" for tiers of embeddings, norms and heads alone.
  static func ranges(_ numbers: [Int]) -> String {
    var runs: [ClosedRange<Int>] = []
    for number in numbers {
      if let last = runs.last, last.upperBound + 1 == number {
        runs[runs.count - 1] = last.lowerBound...number
      } else {
        runs.append(number...number)
      }
    }
    if runs.isEmpty { return "none" }
    return runs.map { $0.count == 1 ? "\($0.lowerBound)" : "\($0.lowerBound)–\($0.upperBound)" }
      .joined(separator: ", ")
  }

  /// The last parts of names and how many modules have each, as in "q_proj × 4, v_proj × 4".
  static func kinds(_ modules: [String]) -> String {
    let names = modules.map { $0.split(separator: ".").last.map(String.init) ?? $0 }
    let counts = Dictionary(names.map { ($0, 1) }, uniquingKeysWith: +)
    return counts.keys.sortedByBytes().map { name in
      let count = counts[name] ?? 0
      return count == 1 ? name : "\(name) × \(count)"
    }.joined(separator: ", ")
  }
}

extension PlanChange {
  /// Of a stage: its periods, and the tiers of the config that the tiers are part of, where these change.
  fileprivate var json: JSONValue {
    var members: JSONObject = ["periods": .numbers(frequencies)]
    if let configTiers { members["config_tiers"] = .numbers(configTiers) }
    return .object(members)
  }
}
