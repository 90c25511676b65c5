import Dispatch
import Files
import Foundation
import JSON
import Ledger
import Logging
import NestedLearning
import Observability
import Training
import Transport

/// What `nl-coord train` and `nl-coord resume` do around the run itself: sockets, the run folder, the last words.
public struct CoordinatorProcess: Sendable {
  let options: RunOptions
  let context = LogContext()
  let logger: Logger
  let telemetry: Telemetry
  let signals = SignalWatch()
  let measurements = MeasurementStore()

  /// Health is answered from here on: models may be read and digested for minutes before the run begins.
  init(options: RunOptions, log: (any LogHandler)? = nil) throws {
    ProcessHeap.keepTogether()
    // A reader of our output that goes away, as `| head` does, does not end the run.
    signal(SIGPIPE, SIG_IGN)
    self.options = options
    let logger = options.operations.logger(label: "nl-coord", level: .notice, context: context, also: log)
    self.logger = logger
    telemetry = try Telemetry(
      options: options.operations, context: context, logger: logger, isShown: options.takesRuns)
  }

  /// Begins a new run and carries it out.
  ///
  /// - Parameter orResume: a run of that name that is there already goes on, if its config is the same; one that is
  ///   finished is left as it is. For whatever starts the program again after each end.
  /// - Throws: what keeps it from starting or going on; nothing is left half written.
  public static func train(config: NestedLearningConfig, options: RunOptions, orResume: Bool = false) throws {
    var options = options
    options.isStartedAgain = orResume
    let process = try CoordinatorProcess(options: options)
    defer { process.telemetry.close() }
    let folder = "\(config.outputPath)/\(config.experimentName)"
    let isThere = orResume && FileSystem.kind(folder + "/state.sqlite") == .file
    if isThere { try RunPaths.checkAllExist(config, folder: folder) }
    do {
      let plan = try process.plan(isThere ? process.dated(config, folder) : config)
      if isThere { try process.goOn(plan) } else { try process.begin(plan) }
    } catch let needed as MeasurementNeeded {
      try process.measureFirst(needed, for: folder) { try process.ready(config, orResume: orResume) }
    }
  }

  /// Begins the run of a continuum memory system, or goes on with it; one that is finished is left as it is.
  static func train(_ plan: ContinuumMemoryPlan, options: RunOptions) throws {
    let process = try CoordinatorProcess(options: options)
    defer { process.telemetry.close() }
    try process.withSockets { sockets in
      process.say(plan.summary)
      guard FileSystem.kind(plan.folder + "/state.sqlite") == .file else {
        let run = try OpenRun.create(plan: plan, options: options, logger: process.logger)
        return try process.carryOut(PreparedRun(plan: plan, store: run), sockets)
      }
      let folder = try process.open(plan.folder)
      guard try folder.configuration() == plan.recordedConfig else {
        throw ServiceError(
          "there is a run in \(plan.folder) that was begun with other values",
          remedy: "give another --output, or the values that it was begun with")
      }
      guard try FolderStatus(folder: plan.folder).completion == nil else { return nil }
      let run = try process.take(folder, config: plan.config)
      return try process.carryOut(PreparedRun(plan: plan, store: run), sockets)
    }
  }

  /// Begins runs, one after the other or some together, with the same workers. One that cannot begin, or fails, does not
  /// keep the others from going on.
  ///
  /// - Throws: what no run can go on from; or, at the end, which runs failed.
  public static func train(
    queue configs: [(name: String, config: NestedLearningConfig)], options: RunOptions, orResume: Bool = false
  ) throws {
    var options = options
    options.isStartedAgain = orResume
    options.isOneOfMany = true
    let process = try CoordinatorProcess(options: options)
    defer { process.telemetry.close() }
    try process.carryOut(
      configs.map { name, config in
        QueuedRun(name: name) { try process.ready(config, orResume: orResume) }
      })
  }

  /// Goes on with a run from its last snapshot, to the same bits as if it had never stopped.
  ///
  /// - Parameters:
  ///   - paths: where its model and data lie now, if they were moved.
  ///   - step: the run goes back to this step first: see `ReturnSteps`.
  public static func resume(
    folder path: String, paths: RunPaths = RunPaths(), fromStep step: Int? = nil, options: RunOptions
  ) throws {
    let process = try CoordinatorProcess(options: options)
    defer { process.telemetry.close() }
    let path = FileSystem.absolute(path)
    do {
      try process.resume(path, paths: paths, fromStep: step)
    } catch let needed as MeasurementNeeded {
      try process.measureFirst(needed, for: path) { try process.resumed(path, paths: paths, fromStep: step) }
    }
  }

  /// Takes a run back to an earlier step, and leaves it stopped.
  ///
  /// - Returns: what was done, for people.
  public static func rollBack(folder path: String, toStep step: Int) throws -> String {
    let options = RunOptions(localWorkers: 0)
    let process = try CoordinatorProcess(options: options)
    defer { process.telemetry.close() }
    return try process.rollBack(FileSystem.absolute(path), toStep: step)
  }

  private func plan(_ config: NestedLearningConfig) throws -> RunPlan {
    let plan = try read(config)
    context.set("run", .string(plan.config.experimentName))
    for warning in plan.warnings { logger.warning("\(warning)") }
    return plan
  }

  /// A run that is there keeps the day on which it was made, which its chat template may show, and the arithmetic in which
  /// it was begun.
  private func dated(_ config: NestedLearningConfig, _ folder: String) throws -> NestedLearningConfig {
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

  private func begin(_ plan: RunPlan) throws {
    try withSockets { sockets in
      say(plan.summary)
      if let warning = try plan.checkDisk() { logger.warning("\(warning)") }
      let run = try OpenRun.create(plan: plan, options: options, logger: logger)
      return try carryOut(PreparedRun(plan: plan, store: run), sockets)
    }
  }

  /// What was measured in an earlier process may be gone, so a run that goes on may need it again.
  private func measureFirst(
    _ needed: MeasurementNeeded, for folder: String,
    then prepare: @escaping @Sendable () throws -> PreparedRun
  ) throws {
    try withSockets { sockets in
      try carryOut(measuring(needed, for: folder, then: prepare), sockets)
    }
  }

  /// A run that measures what another needs, which is made ready after it.
  ///
  /// - Parameter name: of the other, for people
  private func measuring(
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

  private func planned(_ config: NestedLearningConfig, orResume: Bool) throws -> PreparedRun {
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
  private func checkSame(_ plan: RunPlan, _ folder: RunFolder) throws -> FolderStatus {
    let (config, inputs) = try RunConfig.recorded(folder)
    let differing = plan.config.keys(differingFrom: config).filter {
      !RunPaths.keysOfPlaces.contains($0) && $0 != "preset"
    }
    guard differing.isEmpty else {
      throw ServiceError(
        "the run in \(plan.outputFolder) was begun with other values of \(differing.joined(separator: ", "))",
        remedy: "give the same, or another experiment_name")
    }
    try plan.inputs.check(recorded: inputs, config: plan.config, folder: plan.outputFolder)
    return try FolderStatus(folder: plan.outputFolder)
  }

  private func goOn(_ plan: RunPlan) throws {
    let folder = try open(plan.outputFolder)
    let report = try checkSame(plan, folder)
    if let reason = report.completion {
      say("The run in \(plan.outputFolder) is finished: \(reason)")
      RunMetrics(
        telemetry.metrics, run: plan.config.experimentName, program: Program.version,
        numSteps: plan.config.numSteps
      ).showFinished(lastStep: report.status.lastStep)
      return stayIfWanted(reason)
    }
    try withSockets { sockets in
      let run = try take(folder, config: plan.config)
      try RunConfig.recordPlaces(of: plan, in: run)
      return try carryOut(PreparedRun(plan: plan, store: run), sockets)
    }
  }

  private func resume(_ path: String, paths: RunPaths, fromStep step: Int?) throws {
    let (plan, folder) = try recorded(path, paths: paths, fromStep: step)
    try withSockets { try carryOut(resumed(plan, folder, paths: paths, fromStep: step), $0) }
  }

  private func resumed(_ path: String, paths: RunPaths, fromStep step: Int?) throws -> PreparedRun {
    let (plan, folder) = try recorded(path, paths: paths, fromStep: step)
    return try resumed(plan, folder, paths: paths, fromStep: step)
  }

  private func recorded(
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

  private func resumed(
    _ plan: RunPlan, _ folder: RunFolder, paths: RunPaths, fromStep step: Int?
  ) throws -> PreparedRun {
    let run = try take(folder, config: plan.config)
    if !paths.isEmpty { try RunConfig.recordPlaces(of: plan, in: run) }
    if let step { say(lines(of: try run.rollBack(byHandTo: step))) }
    return PreparedRun(plan: plan, store: run)
  }

  private func rollBack(_ path: String, toStep step: Int) throws -> String {
    let folder = try open(path)
    try ReturnSteps(folder: path).check(step, folder: path)
    let run = try take(folder, config: RunConfig.recorded(folder).config)
    let record = try run.rollBack(byHandTo: step)
    try run.ledger.finish(.stopped(reason: "went back to step \(record.toStep) by hand"))
    try run.ledger.close()
    return "\(lines(of: record))\nGo on with: nl-coord resume \(path)"
  }

  private func lines(of record: ReturnRecord) -> String {
    "Went back from step \(record.fromStep) to step \(record.toStep): \(record.voidedSteps) steps and "
      + "\(record.voidedEvaluations) evaluations are void"
  }

  /// Writes lines at once, so that they keep their place among the lines of progress; for programs, as the log.
  func say(_ text: String) {
    guard options.operations.logFormat == .text else {
      for line in text.split(separator: "\n") { logger.notice("\(line)") }
      return
    }
    try? FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8))
  }

  /// Carries out a run; sockets and run folder are free again when it is over.
  func withSockets(_ work: (Sockets) throws -> String?) throws {
    let sockets = try Sockets(options)
    let result = Result { try work(sockets) }
    sockets.close()
    if let reason = try result.get() { stayIfWanted(reason) }
  }

  /// - Returns: why the run is finished, if it is and nobody has asked this process to end meanwhile.
  private func carryOut(_ run: PreparedRun, _ sockets: Sockets) throws -> String? {
    context.set("term", .number(Int(clamping: run.store.term)))
    let folder = run.store.folder.path
    let queued = QueuedRun(name: folder, prepared: run) { run }
    let service: FleetService
    do { service = try self.service([queued], sockets) } catch {
      try? run.store.ledger.finish(.failed(reason: "\(error)"))
      throw error
    }
    guard let end = try service.execute().first else { return nil }
    if !end.isMeasurement { writeReportIfWanted(end.folder) }
    let ending = try end.result.get()
    say(end.lastWords(ending, isStartedAgain: options.isStartedAgain))
    guard case .completed(let reason) = ending.outcome, !service.stopRequested else { return nil }
    return reason
  }

  func service(_ runs: [QueuedRun], _ sockets: Sockets) throws -> FleetService {
    options.failpoints.announce(logger)
    if let endpoint = sockets.remoteEndpoint {
      let keys = options.security.map { ", with the public key \($0.secretKey.publicKey)" } ?? ""
      logger.notice("listening on \(endpoint)\(keys)")
    }
    return try FleetService(
      runs: runs, options: options, router: sockets.router, waker: sockets.waker,
      endpoint: sockets.localEndpoint, logger: logger, telemetry: telemetry, signals: signals)
  }

  /// Carries out several runs.
  private func carryOut(_ runs: [QueuedRun]) throws {
    try withSockets { sockets in
      let service = try service(runs, sockets)
      let ends = try service.execute()
      for end in ends {
        if !end.isMeasurement { writeReportIfWanted(end.folder) }
        switch end.result {
        case .success(let ending):
          say(end.lastWords(ending, isStartedAgain: options.isStartedAgain))
        case .failure(let finished as FinishedRun): say("Finished before: \(end.folder): \(finished.reason)")
        case .failure(let error): say("Failed: \(end.folder): \(error)")
        }
      }
      let failed = ends.filter(\.hasFailed).map(\.folder)
      guard failed.isEmpty else {
        throw ServiceError(
          "\(failed.count) of \(runs.count) runs failed: \(failed.joined(separator: ", "))",
          remedy: "the reasons are above; what was committed of them is safe")
      }
      return service.stopRequested || ends.count < runs.count ? nil : "all \(runs.count) runs are done"
    }
  }

  /// A report that cannot be written is no failure of the run.
  func writeReportIfWanted(_ folder: String) {
    guard options.writesReport, RecordedRun.isOne(folder) else { return }
    let file = RunReport.file(in: folder)
    do {
      try RunReport(folder: folder).write(to: file)
      say("Report: \(file)")
    } catch { logger.warning("the report \(file) could not be written: \(error)") }
  }

  /// Whatever starts a program again after each end, be it a success, would otherwise do so with a finished run for
  /// ever, and the last values of its metrics would be seen by nobody.
  private func stayIfWanted(_ reason: String) {
    guard options.staysWhenFinished else { return }
    let isAsked = DispatchSemaphore(value: 0)
    signals.call { _ in isAsked.signal() }
    defer { signals.call(SignalWatch.end) }
    logger.notice("finished: \(reason); staying until SIGTERM or Ctrl-C (--stay)")
    telemetry.health.ready("finished: \(reason)")
    repeat { telemetry.health.turn() } while isAsked.wait(timeout: .now() + 1) == .timedOut
  }
}

extension RunEnding {
  var outcome: RunOutcome {
    switch self {
    case .completed: .completed(reason: "all steps are done")
    case .stoppedEarly: .completed(reason: "the validation loss no longer fell")
    case .stopped: .stopped(reason: "by the user")
    case .failed(let error): .failed(reason: "\(error)")
    }
  }

  /// - Parameter isStartedAgain: the run was begun by a command that also goes on with it
  func lastWords(folder: String, isStartedAgain: Bool) -> String {
    switch self {
    case .completed: "Done: \(folder)/checkpoints/final"
    case .stoppedEarly: "Done early, as the validation loss no longer fell: \(folder)/checkpoints/best"
    case .stopped where isStartedAgain: "Stopped; go on with the same command"
    case .stopped:
      "Stopped; go on with the same command and --or-resume, or with: nl-coord resume \(folder)"
    case .failed(let error): "\(error)"
    }
  }
}

/// A run of a queue that an earlier process has finished.
struct FinishedRun: Error {
  let reason: String
}

extension RunEnd {
  func lastWords(_ ending: RunEnding, isStartedAgain: Bool) -> String {
    guard isMeasurement else { return ending.lastWords(folder: folder, isStartedAgain: isStartedAgain) }
    return "Stopped before training began: the same command measures anew"
  }

  var hasFailed: Bool {
    if case .failure(let error) = result { !(error is FinishedRun) } else { false }
  }
}

/// The coordinator's socket, bound before anything is written, so that a taken port leaves nothing behind.
struct Sockets {
  let router: Router
  let waker: Waker
  /// Where local workers connect: a socket file in a folder of this process's own.
  let localEndpoint: String
  let remoteEndpoint: String?
  private let folder: String

  init(_ options: RunOptions) throws {
    waker = try Waker()
    router = try Router(
      waker: waker, security: options.security, options: options.failpoints.transportOptions)
    if let listen = options.listen { remoteEndpoint = try router.bind(listen) } else { remoteEndpoint = nil }
    var template = Array("/tmp/nl-XXXXXX".utf8CString)
    guard let made = mkdtemp(&template) else {
      throw ServiceError("cannot make a folder in /tmp: \(String(cString: strerror(errno)))")
    }
    folder = String(cString: made)
    localEndpoint = try router.bind("ipc://\(folder)/coordinator")
  }

  func close() {
    router.close()
    try? FileManager.default.removeItem(atPath: folder)
  }
}
