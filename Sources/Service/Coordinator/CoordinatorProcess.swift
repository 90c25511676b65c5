import Dispatch
import Files
import Foundation
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
  let signals: SignalWatch
  let measurements = MeasurementStore()

  /// Health is answered from here on: models may be read and digested for minutes before the run begins.
  init(options: RunOptions, log: (any LogHandler)? = nil) throws {
    ProcessHeap.keepTogether()
    // A reader of our output that goes away, as `| head` does, does not end the run.
    signal(SIGPIPE, SIG_IGN)
    self.options = options
    let logger = options.operations.logger(label: "nl-coord", level: .notice, context: context, also: log)
    self.logger = logger
    signals = SignalWatch(logger: logger)
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

  private func rollBack(_ path: String, toStep step: Int) throws -> String {
    let folder = try open(path)
    try ReturnSteps(folder: path).check(step, folder: path)
    let run = try take(folder, config: RunConfig.recorded(folder).config)
    let record = try run.rollBack(byHandTo: step)
    try run.ledger.finish(.stopped(reason: "went back to step \(record.toStep) by hand"))
    try run.ledger.close()
    return "\(lines(of: record))\nGo on with: nl-coord resume \(path)"
  }

  func lines(of record: ReturnRecord) -> String {
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
    defer { signals.endAtOnce() }
    logger.notice("finished: \(reason); staying until SIGTERM or Ctrl-C (--stay)")
    telemetry.health.ready("finished: \(reason)")
    repeat { telemetry.health.turn() } while isAsked.wait(timeout: .now() + 1) == .timedOut
  }
}
