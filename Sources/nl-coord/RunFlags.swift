import ArgumentParser
import Foundation
import Service

/// How a run is carried out; none of these changes a bit of its result.
struct RunFlags: ParsableArguments {
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

  @Flag(help: "Listen beyond this machine without encryption or keys: anyone who reaches the port can join.")
  var insecure = false

  @Option(help: "Cut work along micro-batches, or along tiers as well: micro-batch or tier.")
  var shardBy: ShardAxis = .microBatch

  func validate() throws {
    if let localWorkers, localWorkers < 0 { throw ValidationError("--local-workers must be 0 or more") }
    if let threadsPerWorker, threadsPerWorker < 1 {
      throw ValidationError("--threads-per-worker must be at least 1")
    }
    if localWorkers == 0 && listen == nil {
      throw ValidationError("--local-workers 0 leaves nobody to compute; add --listen tcp://ADDR:PORT")
    }
    if let listen { try ListenAddress.check(listen, insecure: insecure) }
  }

  var options: RunOptions {
    let workers = localWorkers ?? (listen == nil ? 1 : 0)
    let cores = ProcessInfo.processInfo.activeProcessorCount
    return RunOptions(
      localWorkers: workers, threadsPerWorker: threadsPerWorker ?? max(1, cores / max(1, workers)),
      listen: listen,
      shardBy: shardBy)
  }
}

extension ShardAxis: ExpressibleByArgument {}
