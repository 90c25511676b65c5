import Dispatch
import Foundation
import JSON
import Ledger
import Logging
import NestedLearning
import Observability
import Transport

/// What `nl-coord train` and `nl-coord resume` do around the run itself: sockets, the run folder, the last words.
public struct CoordinatorProcess {
  private let options: RunOptions
  private let context = LogContext()
  private let logger: Logger
  private let telemetry: Telemetry
  private let signals = SignalWatch()

  /// Health is answered from here on: models may be read and digested for minutes before the run begins.
  private init(options: RunOptions) throws {
    // A reader of our output that goes away, as `| head` does, does not end the run.
    signal(SIGPIPE, SIG_IGN)
    self.options = options
    logger = options.operations.logger(label: "nl-coord", level: .notice, context: context)
    telemetry = try Telemetry(options: options.operations, context: context, logger: logger)
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
    let plan = try process.plan(config)
    if orResume, FileSystem.kind(plan.outputFolder + "/state.sqlite") == .file {
      try process.goOn(plan)
    } else {
      try process.begin(plan)
    }
  }

  /// Goes on with a run from its last snapshot, to the same bits as if it had never stopped.
  public static func resume(folder path: String, options: RunOptions) throws {
    let process = try CoordinatorProcess(options: options)
    defer { process.telemetry.close() }
    try process.resume(URL(fileURLWithPath: path).standardizedFileURL.path)
  }

  private func plan(_ config: NestedLearningConfig) throws -> RunPlan {
    let plan = try RunPlan(config: config)
    context.set("run", .string(plan.config.experimentName))
    return plan
  }

  private func begin(_ plan: RunPlan) throws {
    try withSockets { sockets in
      say(plan.summary)
      return try carryOut(plan: plan, run: OpenRun.create(plan: plan), sockets: sockets)
    }
  }

  private func goOn(_ plan: RunPlan) throws {
    let folder = try RunFolder.open(plan.outputFolder)
    let (config, inputs) = try RunConfig.recorded(folder)
    let differing = plan.config.keys(differingFrom: config)
    guard differing.isEmpty else {
      throw ServiceError(
        "the run in \(plan.outputFolder) was begun with other values of \(differing.joined(separator: ", "))",
        remedy: "give the same, or another experiment_name")
    }
    try plan.inputs.check(recorded: inputs, folder: plan.outputFolder)
    let report = try StatusReport(folder: plan.outputFolder)
    if let reason = report.completion {
      say("The run in \(plan.outputFolder) is finished: \(reason)")
      RunMetrics(
        telemetry.metrics, run: config.experimentName, program: Program.version, numSteps: config.numSteps
      ).showFinished(lastStep: report.status.lastStep)
      return stayIfWanted(reason)
    }
    try withSockets { try carryOut(plan: plan, run: OpenRun(folder: folder, config: config), sockets: $0) }
  }

  private func resume(_ path: String) throws {
    let folder = try RunFolder.open(path)
    let (config, inputs) = try RunConfig.recorded(folder)
    let plan = try self.plan(config)
    try plan.inputs.check(recorded: inputs, folder: path)
    try withSockets { try carryOut(plan: plan, run: OpenRun(folder: folder, config: config), sockets: $0) }
  }

  /// Writes lines at once, so that they keep their place among the lines of progress; for programs, as the log.
  private func say(_ text: String) {
    guard options.operations.logFormat == .text else {
      for line in text.split(separator: "\n") { logger.notice("\(line)") }
      return
    }
    try? FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8))
  }

  /// Carries out a run; sockets and run folder are free again when it is over.
  private func withSockets(_ work: (Sockets) throws -> String?) throws {
    let sockets = try Sockets(options)
    let result = Result { try work(sockets) }
    sockets.close()
    if let reason = try result.get() { stayIfWanted(reason) }
  }

  /// - Returns: why the run is finished, if it is and nobody has asked this process to end meanwhile.
  private func carryOut(plan: RunPlan, run: OpenRun, sockets: Sockets) throws -> String? {
    context.set("term", .number(Int(clamping: run.term)))
    options.failpoints.announce(logger)
    if let endpoint = sockets.remoteEndpoint {
      let keys = options.security.map { ", with the public key \($0.secretKey.publicKey)" } ?? ""
      logger.notice("listening on \(endpoint)\(keys)")
    }
    CoordinatorAddress.removeLeftOver(in: run.folder.path)
    // For nl-coord status alone; without it that reads the ledger.
    try? CoordinatorAddress.write(sockets.localEndpoint, in: run.folder.path)
    defer { CoordinatorAddress.remove(from: run.folder.path) }
    var begun: CoordinatorService?
    do {
      let service = try CoordinatorService(
        plan: plan, run: run, options: options, router: sockets.router, waker: sockets.waker,
        endpoint: sockets.localEndpoint, logger: logger, telemetry: telemetry,
        signals: signals)
      begun = service
      let ending = try service.execute()
      say(ending.lastWords(folder: run.folder.path, isStartedAgain: options.isStartedAgain))
      guard case .completed(let reason) = ending.outcome, !service.stopRequested else { return nil }
      return reason
    } catch {
      // Who computed what of the step that failed, and how it went.
      begun?.recordDepartures()
      try? run.ledger.finish(.failed(reason: "\(error)"))
      throw error
    }
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

extension CoordinatorService.Ending {
  var outcome: RunOutcome {
    switch self {
    case .completed: .completed(reason: "all steps are done")
    case .stoppedEarly: .completed(reason: "the validation loss no longer fell")
    case .stopped: .stopped(reason: "by the user")
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
    }
  }
}

/// The coordinator's socket, bound before anything is written, so that a taken port leaves nothing behind.
private struct Sockets {
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
