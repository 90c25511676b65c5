import ArgumentParser
import Files
import Foundation
import ProgramFlags
import Service

@main
struct NLWorker: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nl-worker",
    abstract: "Compute gradients for a coordinator.",
    discussion: """
      A base model that is not on this machine is fetched from the coordinator, once, and kept for later runs; its \
      content is compared with the coordinator's by SHA-256. Data are sent by the coordinator. Ctrl-C ends the \
      worker; what it was computing is handed to another.

      A coordinator on another machine is joined with keys, which nl-tool keygen makes. Its owner needs this worker's \
      public key, the worker needs the coordinator's.

      Examples:
        nl-worker --connect tcp://127.0.0.1:5555 --threads 8 --model ~/models/Qwen2.5-0.5B
        nl-worker --connect tcp://10.0.0.1:5555 --key worker.key --server-key coordinator.key.pub \\
          --model-cache /var/cache/nl-models

      Every flag can also be given by the environment: NL_ and its name in capitals, --server-key is NL_SERVER_KEY.
      """)

  /// A coordinator's own workers have its environment, and are told all they need.
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let isLocal = arguments.contains("--local-index")
    mainWithEnvironment(arguments, environment: isLocal ? [:] : ProcessInfo.processInfo.environment)
  }

  @Option(help: "Where the coordinator listens: tcp://HOST:PORT, or ipc://PATH on the same machine.")
  var connect: String

  @Option(help: "How many threads compute; by default one a core.")
  var threads: Int?

  @Option(
    help: ArgumentHelp(
      "The base model's folder on this machine; by default it is looked for where the coordinator has it, then "
        + "fetched from the coordinator.", valueName: "dir"))
  var model: String?

  @Option(
    help: ArgumentHelp(
      "Where fetched models are kept; by default $NL_MODEL_CACHE, or nested-learning/models in $XDG_CACHE_HOME or "
        + "~/.cache.", valueName: "dir"))
  var modelCache: String?

  @Option(
    help: ArgumentHelp(
      "Gigabytes of base models that stay loaded for runs to come, the one at work included; by default half of the "
        + "memory.", valueName: "GB"))
  var modelMemory: Double?

  @Option(help: ArgumentHelp("This worker's secret key, by nl-tool keygen.", valueName: "file"))
  var key: String?

  @Option(
    help: ArgumentHelp(
      "The coordinator's public key, or the .pub file that holds it.", valueName: "public-key|file"))
  var serverKey: String?

  @Flag(help: "Connect to another machine without encryption or keys: whoever answers there is obeyed.")
  var insecure = false

  @OptionGroup(title: "How the worker is looked after")
  var operations: OperationsFlags

  @Option(help: .hidden)
  var localIndex: Int?

  @Flag(help: .hidden)
  var exitWithStdin = false

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
    if let modelMemory, !(modelMemory >= 0 && modelMemory < 1e6) {
      throw ValidationError("--model-memory must be a number of gigabytes, 0 or more")
    }
    if (key == nil) != (serverKey == nil) {
      throw ValidationError("--key and --server-key belong together; see nl-tool keygen --help")
    }
    do { try ConnectAddress.check(connect, hasKeys: key != nil, insecure: insecure) } catch {
      throw ValidationError("\(error)")
    }
    if key != nil && !connect.hasPrefix("tcp://") {
      throw ValidationError("--key and --server-key are for tcp://HOST:PORT; ipc is without keys")
    }
    if key != nil && insecure {
      throw ValidationError("--insecure means without keys; leave it out, or --key")
    }
  }

  func run() throws {
    if exitWithStdin { ParentWatch.exitWhenStandardInputEnds() }
    let cores = ProcessInfo.processInfo.activeProcessorCount
    var options = try WorkerOptions(
      endpoint: connect, threads: threads ?? cores, modelPath: model.map(FileSystem.expandingTilde),
      modelCache: modelCache,
      localIndex: localIndex,
      failpoints: Failpoints.ofEnvironment())
    if localIndex != nil { options.localSecret = WorkerOptions.localSecretOfEnvironment }
    options.modelBytes = modelMemory.map { Int($0 * 1e9) }
    options.operations = try operations.options()
    if let key, let serverKey {
      try options.useKeys(
        file: FileSystem.expandingTilde(key), serverKey: FileSystem.expandingTilde(serverKey))
    }
    try WorkerService(options: options).run()
  }
}
