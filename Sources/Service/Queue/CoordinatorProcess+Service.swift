import Files
import JSON
import Logging
import NestedLearning

extension CoordinatorProcess {
  /// Looks after a folder of runs with one fleet, until it is asked to end: goes on with what is in its queue, and takes
  /// more.
  ///
  /// - Parameter begin: begins to answer those who ask; what it returns ends that.
  /// - Throws: what no run can go on from.
  public static func serve(
    runs folder: String, options: RunOptions, begin: (RunDesk, Logger) throws -> () -> Void
  ) throws {
    var options = options
    (options.takesRuns, options.isOneOfMany, options.isStartedAgain) = (true, true, true)
    let lines = RecentLines()
    let process = try CoordinatorProcess(options: options, log: lines.handler)
    defer { process.telemetry.close() }
    try process.withSockets { sockets in
      let service = try process.service([], sockets)
      let desk = try RunDesk(folder: folder, process: process, lines: lines) {
        [mailbox = service.mailbox] request in
        mailbox.post(.request(request))
      }
      service.board = desk
      let end = try begin(desk, process.logger)
      defer { end() }
      desk.goOn()
      _ = try service.execute()
      return nil
    }
  }

  /// A run of the queue, once it is its turn: a new one, or one that goes on from where its folder says.
  func readyOfQueue(folder path: String, config: JSONValue) throws -> PreparedRun {
    guard RecordedRun.isOne(path) else {
      return try ready(
        NestedLearningConfig(object: config.object ?? JSONObject(), file: "the queue"), orResume: false)
    }
    let folder = try open(path)
    var (config, inputs) = try RunConfig.recorded(folder)
    // It may have been given another name since it began.
    config.experimentName = FileSystem.name(of: path)
    try RunPaths.checkAllExist(config, folder: path)
    if let reason = try FolderStatus(folder: path).completion { throw FinishedRun(reason: reason) }
    let plan = try read(config)
    try plan.inputs.check(recorded: inputs, config: plan.config, folder: path)
    return PreparedRun(plan: plan, store: try take(folder, config: plan.config))
  }
}
