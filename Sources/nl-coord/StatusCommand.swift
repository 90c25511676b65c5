import ArgumentParser
import Files
import Service

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Say how far a run is, and what it waits for.",
    discussion: """
      A coordinator at work is asked itself: what the run does or waits for, why, since when and how long at most, and \
      the same for each worker. Without one, the run's ledger is read.

      Examples:
        nl-coord status runs/demo
        nl-coord status runs/demo --json
        nl-coord status runs/demo --digest
        nl-coord status runs/demo --check
        nl-coord status tcp://10.0.0.1:5555 --key worker.key --server-key coordinator.key.pub
      """)

  @Argument(
    help:
      "The run's folder, <output_path>/<experiment_name>, or where its coordinator listens: tcp://HOST:PORT."
  )
  var target: String

  @Flag(help: "Print only the SHA-256 of the run's state: parameters, moments, counts and windows.")
  var digest = false

  @Flag(
    help:
      "Read everything in the run's folder (ledger, snapshots, checkpoints, metrics), and say what is damaged; exit code 1 if anything is."
  )
  var check = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @Option(
    help: ArgumentHelp("A secret key that the coordinator lets in, by nl-tool keygen.", valueName: "file"))
  var key: String?

  @Option(
    help: ArgumentHelp(
      "The coordinator's public key, or the .pub file that holds it.", valueName: "public-key|file"))
  var serverKey: String?

  private var folder: String { FileSystem.expandingTilde(target) }
  private var isAddress: Bool { target.hasPrefix("tcp://") || target.hasPrefix("ipc://") }

  func validate() throws {
    if (key == nil) != (serverKey == nil) {
      throw ValidationError("--key and --server-key belong together; see nl-tool keygen --help")
    }
    if check && digest { throw ValidationError("give either --check or --digest") }
    if check && isAddress { throw ValidationError("--check reads the run's folder; give that") }
    if digest && isAddress { throw ValidationError("--digest is read from the run's folder; give that") }
  }

  func run() throws {
    if check {
      let check = try RunCheck(folder: folder)
      print(json ? check.json.text : check.text)
      if !check.isSound { throw ExitCode.failure }
      return
    }
    if let live = try live() {
      print(json ? live.json.text : live.text)
    } else {
      let status = try FolderStatus(folder: folder)
      print(digest ? try status.digest() : json ? status.json.text : status.text)
    }
  }

  private func live() throws -> ShownStatus? {
    // For a folder they are not needed, though the environment may have them.
    if target.hasPrefix("tcp://"), let key, let serverKey {
      return try StatusClient.ask(
        target, key: FileSystem.expandingTilde(key), serverKey: FileSystem.expandingTilde(serverKey))
    }
    if isAddress { return try StatusClient.ask(target) }
    return digest ? nil : try StatusClient.ask(folder: folder)
  }
}
