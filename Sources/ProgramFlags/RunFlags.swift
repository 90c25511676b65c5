import ArgumentParser
import Files
import Foundation
import Service

/// How a run is carried out; none of these changes a bit of its result.
public struct RunFlags: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Worker processes on this machine; by default one, or none with --listen.", valueName: "n"))
  var localWorkers: Int?

  @Option(
    help: ArgumentHelp(
      "Threads of each local worker; by default the cores are divided among them.", valueName: "n"))
  var threadsPerWorker: Int?

  @Option(
    help: ArgumentHelp(
      "Take workers from other machines too, e.g. tcp://10.0.0.1:5555.", valueName: "tcp://addr:port"))
  var listen: String?

  @Option(
    help: ArgumentHelp(
      "This coordinator's secret key, by nl-tool keygen: --listen is then encrypted.", valueName: "file"))
  var key: String?

  @Option(
    help: ArgumentHelp(
      "The public keys of the workers that may join, one a line, then a name if you like; # begins a comment.",
      valueName: "file"))
  var allowKeys: String?

  @Flag(help: "Listen beyond this machine without encryption or keys: anyone who reaches the port can join.")
  var insecure = false

  @Option(help: "Cut work along micro-batches, or along tiers as well: micro-batch or tier.")
  var shardBy: ShardAxis = .microBatch

  @Flag(
    help:
      "When the run is finished, stay until SIGTERM or Ctrl-C and answer for health and metrics. For restarts by others."
  )
  var stay = false

  @Flag(help: "When a run ends, write it as one HTML page into its folder: report.html. See nl-tool report.")
  var report = false

  @OptionGroup(title: "How the coordinator is looked after")
  var operations: OperationsFlags

  public init() {}

  public func validate() throws {
    if let localWorkers, localWorkers < 0 { throw ValidationError("--local-workers must be 0 or more") }
    if let threadsPerWorker, threadsPerWorker < 1 {
      throw ValidationError("--threads-per-worker must be at least 1")
    }
    if localWorkers == 0 && listen == nil {
      throw ValidationError("--local-workers 0 leaves nobody to compute; add --listen tcp://ADDR:PORT")
    }
    if key == nil && allowKeys != nil {
      throw ValidationError("--allow-keys needs --key; see nl-tool keygen --help")
    }
    if key != nil && allowKeys == nil {
      throw ValidationError(
        "--key needs --allow-keys, the list of the workers' public keys; see nl-tool keygen --help")
    }
    if key != nil && insecure {
      throw ValidationError("--insecure means without keys; leave it out, or --key")
    }
    if key != nil && listen == nil {
      throw ValidationError("--key and --allow-keys are for --listen tcp://ADDR:PORT")
    }
    if let listen {
      do { try ListenAddress.check(listen, hasKeys: key != nil, insecure: insecure) } catch {
        throw ValidationError("\(error)")
      }
    }
  }

  /// - Parameter localWorkersByDefault: whether there are local workers beside those of other machines
  /// - Throws: if a file of keys cannot be used.
  public func options(localWorkersByDefault: Bool = false) throws -> RunOptions {
    let workers = localWorkers ?? (listen == nil || localWorkersByDefault ? 1 : 0)
    let cores = ProcessInfo.processInfo.activeProcessorCount
    var options = try RunOptions(
      localWorkers: workers, threadsPerWorker: threadsPerWorker ?? max(1, cores / max(1, workers)),
      listen: listen, shardBy: shardBy, failpoints: Failpoints.ofEnvironment())
    options.staysWhenFinished = stay
    options.writesReport = report
    options.operations = try operations.options()
    if let key, let allowKeys {
      try options.useKeys(
        file: FileSystem.expandingTilde(key), allowedKeysFile: FileSystem.expandingTilde(allowKeys))
    }
    return options
  }
}

extension ShardAxis: ExpressibleByArgument {}
