import ArgumentParser
import Service

struct StatusCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "status",
    abstract: "Say how far a run is.",
    discussion: """
      Examples:
        nl-coord status runs/demo
        nl-coord status runs/demo --digest
      """)

  @Argument(help: "The run's folder: <output_path>/<experiment_name>.")
  var folder: String

  @Flag(help: "Print only the SHA-256 of the run's state: parameters, moments, counts and windows.")
  var digest = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let status = try StatusReport(folder: folder)
    print(digest ? try status.digest() : json ? status.json.text : status.text)
  }
}
