import ArgumentParser
import Foundation
import Service

@main
struct NLWorker: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nl-worker",
    abstract: "Compute gradients for a coordinator.",
    discussion: """
      The worker needs the run's base model on its own disk: where the coordinator has it, or where --model says. \
      Its content is compared with the coordinator's by SHA-256. Data are sent by the coordinator. Ctrl-C ends the \
      worker; what it was computing is handed to another.

      Example:
        nl-worker --connect tcp://10.0.0.1:5555 --threads 8 --model ~/models/Qwen2.5-0.5B
      """)

  @Option(help: "Where the coordinator listens: tcp://HOST:PORT, or ipc://PATH on the same machine.")
  var connect: String

  @Option(help: "How many threads compute; by default one a core.")
  var threads: Int?

  @Option(help: "The base model's folder on this machine; by default the path that the coordinator names.")
  var model: String?

  @Option(help: .hidden)
  var localIndex: Int?

  @Flag(help: .hidden)
  var exitWithStdin = false

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
    guard connect.hasPrefix("tcp://") || connect.hasPrefix("ipc://") else {
      throw ValidationError("--connect must be tcp://HOST:PORT or ipc://PATH, not \(connect)")
    }
  }

  func run() throws {
    if exitWithStdin { ParentWatch.exitWhenStandardInputEnds() }
    let cores = ProcessInfo.processInfo.activeProcessorCount
    let worker = WorkerService(
      options: WorkerOptions(
        endpoint: connect, threads: threads ?? cores, modelPath: model, localIndex: localIndex))
    try worker.run()
  }
}
