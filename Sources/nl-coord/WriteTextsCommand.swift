import ArgumentParser
import Service

/// What `nl-coord serve` begins beside itself; it is nothing for a person to call.
struct WriteTextsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "write-texts",
    abstract:
      "Write texts for a service: requests on standard input, one in JSON a line, answers on standard output.",
    shouldDisplay: false)

  @Option(help: "How many threads compute; by default one a core.")
  var threads: Int?

  func validate() throws {
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
  }

  func run() throws { try CompletionWriter(threads: threads, failpoints: Failpoints.ofEnvironment()).run() }
}
