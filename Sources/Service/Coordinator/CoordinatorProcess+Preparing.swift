import Files
import Foundation
import Logging
import NestedLearning
import Training

/// How a run is made ready: what it is made from is read, held to what is recorded of a run that is there, and its folder
/// taken.
extension CoordinatorProcess {
  func plan(_ config: NestedLearningConfig) throws -> RunPlan {
    let plan = try read(config)
    context.set("run", .string(plan.config.experimentName))
    for warning in plan.warnings { logger.warning("\(warning)") }
    return plan
  }

  /// A run that is there keeps the day on which it was made, which its chat template may show, and the arithmetic in which
  /// it was begun.
  func dated(_ config: NestedLearningConfig, _ folder: String) throws -> NestedLearningConfig {
    var config = config
    let recorded = try RunConfig.recorded(open(folder)).config
    config.chatTemplateDate = config.chatTemplateDate ?? recorded.chatTemplateDate
    return config.withArithmetic(of: recorded)
  }

  /// Reads everything that a run is made from; what takes its time is told of.
  func read(_ config: NestedLearningConfig) throws -> RunPlan {
    let isText = options.operations.logFormat == .text
    let line =
      isText
      ? TokenizingLine.standardError() : TokenizingLine(columns: nil) { [logger] in logger.notice("\($0)") }
    defer { line.clear() }
    return try RunPlan(config: config, progress: line.progress, measurements: measurements)
  }

  /// A run that measures what another needs, which is made ready after it.
  ///
  /// - Parameter name: of the other, for people
  func measuring(
    _ needed: MeasurementNeeded, for name: String, then prepare: @escaping @Sendable () throws -> PreparedRun
  ) throws -> PreparedRun {
    let plan = needed.plan
    // One that was broken off is of no use: it begins anew.
    if RecordedRun.isOne(plan.outputFolder) {
      _ = try open(plan.outputFolder)
      try FileSystem.remove(plan.outputFolder)
    }
    say(plan.summary)
    let run = PreparedRun(
      plan: plan, store: try OpenRun.create(plan: plan, options: options, logger: logger),
      measuredFor: PreparedRun.Following(name: name) {
        do { return try prepare() } catch let needed as MeasurementNeeded {
          return try measuring(needed, for: name, then: prepare)
        }
      })
    return run
  }

  /// One of several runs, once it is its turn; on a thread of its own.
  func ready(_ config: NestedLearningConfig, orResume: Bool) throws -> PreparedRun {
    let folder = "\(config.outputPath)/\(config.experimentName)"
    do { return try planned(config, orResume: orResume) } catch let needed as MeasurementNeeded {
      return try measuring(needed, for: folder) { try planned(config, orResume: orResume) }
    }
  }

  func planned(_ config: NestedLearningConfig, orResume: Bool) throws -> PreparedRun {
    let folder = "\(config.outputPath)/\(config.experimentName)"
    let isThere = orResume && FileSystem.kind(folder + "/state.sqlite") == .file
    if isThere { try RunPaths.checkAllExist(config, folder: folder) }
    let plan = try read(isThere ? dated(config, folder) : config)
    // Whoever looks at the log of another run is not to see them.
    for warning in plan.warnings {
      logger.warning("\(warning)", metadata: ["run": "\(plan.config.experimentName)"])
    }
    guard isThere else {
      if let warning = try plan.checkDisk() { logger.warning("\(warning)") }
      let run = try OpenRun.create(plan: plan, options: options, logger: logger)
      say("\(plan.summary)\n")
      return PreparedRun(plan: plan, store: run)
    }
    if let reason = try checkSame(plan, open(plan.outputFolder)).completion {
      throw FinishedRun(reason: reason)
    }
    let run = try take(open(plan.outputFolder), config: plan.config)
    try RunConfig.recordPlaces(of: plan, in: run)
    return PreparedRun(plan: plan, store: run)
  }

  func open(_ path: String) throws -> RunFolder {
    try RunFolder.open(path) { [logger] in logger.notice("\($0)") }
  }

  func take(_ folder: RunFolder, config: NestedLearningConfig) throws -> OpenRun {
    try OpenRun(folder: folder, config: config, options: options, logger: logger)
  }

  /// Whether a run that is there was begun with this config and these inputs.
  ///
  /// - Returns: how it stands
  func checkSame(_ plan: RunPlan, _ folder: RunFolder) throws -> FolderStatus {
    let (config, inputs) = try RunConfig.recorded(folder)
    let differing = RunPaths.keys(of: plan.config, differingFrom: config)
    guard differing.isEmpty else {
      throw ServiceError(
        "the run in \(plan.outputFolder) was begun with other values of \(differing.joined(separator: ", "))",
        remedy: "give the same, or another experiment_name")
    }
    try plan.inputs.check(recorded: inputs, config: plan.config, folder: plan.outputFolder)
    return try FolderStatus(folder: plan.outputFolder)
  }

  func resumed(_ path: String, paths: RunPaths, fromStep step: Int?) throws -> PreparedRun {
    let (plan, folder) = try recorded(path, paths: paths, fromStep: step)
    return try resumed(plan, folder, paths: paths, fromStep: step)
  }

  func recorded(
    _ path: String, paths: RunPaths, fromStep step: Int?
  ) throws -> (RunPlan, RunFolder) {
    let folder = try open(path)
    let (config, inputs) = try RunConfig.recorded(folder, paths: paths)
    try RunPaths.checkAllExist(config, folder: path)
    let plan = try self.plan(config)
    try plan.inputs.check(recorded: inputs, config: plan.config, folder: path)
    // Before the run is taken, so that a step that it cannot go back to changes nothing.
    if let step { try ReturnSteps(folder: path).check(step, folder: path) }
    return (plan, folder)
  }

  func resumed(
    _ plan: RunPlan, _ folder: RunFolder, paths: RunPaths, fromStep step: Int?
  ) throws -> PreparedRun {
    let run = try take(folder, config: plan.config)
    if !paths.isEmpty { try RunConfig.recordPlaces(of: plan, in: run) }
    if let step { say(lines(of: try run.rollBack(byHandTo: step))) }
    return PreparedRun(plan: plan, store: run)
  }
}
