import Foundation
import JSON
import Ledger
import Logging
import NestedLearning
import Operations
import Transport

/// What `nl-coord train` and `nl-coord resume` do around the run itself: sockets, the run folder, the last words.
public enum CoordinatorProcess {
  /// Begins a new run and carries it out.
  ///
  /// - Parameter orResume: a run of that name that is there already goes on, if its config is the same; one that is
  ///   finished is left as it is. For whatever starts the program again after each end.
  /// - Throws: what keeps it from starting or going on; nothing is left half written.
  public static func train(plan: RunPlan, options: RunOptions, orResume: Bool = false) throws {
    var options = options
    options.isStartedAgain = orResume
    if orResume, FileSystem.kind(plan.outputFolder + "/state.sqlite") == .file {
      return try goOn(plan: plan, options: options)
    }
    let sockets = try Sockets(options)
    defer { sockets.close() }
    say(plan.summary)
    try carryOut(plan: plan, run: OpenRun.create(plan: plan), options: options, sockets: sockets)
  }

  private static func goOn(plan: RunPlan, options: RunOptions) throws {
    let folder = try RunFolder.open(plan.outputFolder)
    let (config, inputs) = try RunConfig.recorded(folder)
    let differing = plan.config.keys(differingFrom: config)
    guard differing.isEmpty else {
      throw ServiceError(
        "the run in \(plan.outputFolder) was begun with other values of \(differing.joined(separator: ", "))",
        remedy: "give the same, or another experiment_name")
    }
    try plan.inputs.check(recorded: inputs, folder: plan.outputFolder)
    if let reason = try StatusReport(folder: plan.outputFolder).completion {
      return say("The run in \(plan.outputFolder) is finished: \(reason)")
    }
    let sockets = try Sockets(options)
    defer { sockets.close() }
    try carryOut(plan: plan, run: OpenRun(folder: folder, config: config), options: options, sockets: sockets)
  }

  /// Goes on with a run from its last snapshot, to the same bits as if it had never stopped.
  public static func resume(folder path: String, options: RunOptions) throws {
    let absolute = URL(fileURLWithPath: path).standardizedFileURL.path
    let folder = try RunFolder.open(absolute)
    let (config, inputs) = try RunConfig.recorded(folder)
    let plan = try RunPlan(config: config)
    try plan.inputs.check(recorded: inputs, folder: absolute)
    let sockets = try Sockets(options)
    defer { sockets.close() }
    try carryOut(plan: plan, run: OpenRun(folder: folder, config: config), options: options, sockets: sockets)
  }

  /// Writes a line at once, so that it keeps its place among the lines of progress.
  private static func say(_ text: String) {
    try? FileHandle.standardOutput.write(contentsOf: Data((text + "\n").utf8))
  }

  private static func carryOut(plan: RunPlan, run: OpenRun, options: RunOptions, sockets: Sockets) throws {
    // A reader of our output that goes away, as `| head` does, does not end the run.
    signal(SIGPIPE, SIG_IGN)
    let context = LogContext()
    context.set("run", .string(plan.config.experimentName))
    context.set("term", .number(Int(clamping: run.term)))
    let logger = options.operations.logger(label: "nl-coord", level: .notice, context: context)
    let lookout = try Lookout(options: options.operations, context: context, logger: logger)
    defer { lookout.close() }
    options.failpoints.announce(logger)
    if let endpoint = sockets.remoteEndpoint {
      let keys = options.security.map { ", with the public key \($0.secretKey.publicKey)" } ?? ""
      logger.notice("listening on \(endpoint)\(keys)")
    }
    CoordinatorAddress.removeLeftOver(in: run.folder.path)
    // For nl-coord status alone; without it that reads the ledger.
    try? CoordinatorAddress.write(sockets.localEndpoint, in: run.folder.path)
    defer { CoordinatorAddress.remove(from: run.folder.path) }
    do {
      let service = try CoordinatorService(
        plan: plan, run: run, options: options, router: sockets.router, waker: sockets.waker,
        endpoint: sockets.localEndpoint, logger: logger, lookout: lookout)
      let ending = try service.execute()
      say(ending.lastWords(folder: run.folder.path))
    } catch {
      try? run.ledger.finish(.failed(reason: "\(error)"))
      throw error
    }
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

  func lastWords(folder: String) -> String {
    switch self {
    case .completed: "Done: \(folder)/checkpoints/final"
    case .stoppedEarly: "Done early, as the validation loss no longer fell: \(folder)/checkpoints/best"
    case .stopped: "Stopped; go on with: nl-coord resume \(folder)"
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
