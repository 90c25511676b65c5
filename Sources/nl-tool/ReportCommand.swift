import ArgumentParser
import Files
import Service

struct ReportCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "report",
    abstract: "Write a run as one HTML page: curves, tiers, who computed what, faults, config.",
    discussion: """
      The page needs nothing beside itself: it can be sent or kept as a file. It is made from the run's ledger; the run may \
      be at work meanwhile. nl-coord train --report writes it when the run ends.

      Examples:
        nl-tool report runs/demo
        nl-tool report runs/demo --output demo.html
      """)

  @Argument(help: "The run's folder: <output_path>/<experiment_name>.")
  var folder: String

  @Option(
    help: ArgumentHelp("Where to write it; by default report.html in the run's folder.", valueName: "file"))
  var output: String?

  func run() throws {
    let folder = FileSystem.expandingTilde(folder)
    let path = output.map(FileSystem.expandingTilde) ?? RunReport.file(in: folder)
    try RunReport(folder: folder).write(to: path)
    print("Written: \(path)")
  }
}
