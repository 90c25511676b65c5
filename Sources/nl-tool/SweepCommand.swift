import ArgumentParser
import Foundation
import ProgramFlags
import Service

struct SweepCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "sweep",
    abstract: "Train every combination of some values, and show what each comes to.",
    discussion: """
      Each combination is a run with an experiment name of its own, in the folder <output_path>/<experiment_name>-sweep; \
      all share the same workers, as with nl-coord train --config A --config B. At the end there are a table, sweep.html \
      and sweep.json. The same command goes on with a sweep that was interrupted: finished runs are not repeated. A run \
      that fails does not stop the others.

      Examples:
        nl-tool sweep --config demo.yaml --grid 'learning_rate=1e-4|1e-3'
        nl-tool sweep --config demo.yaml --grid 'tier_order=shallow_fast|deep_fast' \\
          --grid 'tier_update_frequencies=[1,2,4]|[1,4,16]' --local-workers 2 --parallel-runs 2
        nl-tool sweep --config demo.yaml --grid 'learning_rate=1e-4|1e-3' --table
      """)

  @Option(help: ArgumentHelp("The config file that the runs have in common.", valueName: "file"))
  var config: String?

  @Option(
    parsing: .singleValue,
    help: ArgumentHelp(
      "A key and its values, as JSON or text; may be given several times.", valueName: "key=a|b"))
  var grid: [String] = []

  @Option(help: ArgumentHelp("How many runs are at work together.", valueName: "n"))
  var parallelRuns = 1

  @Flag(help: "Train nothing; show how the runs stand, and write sweep.html and sweep.json anew.")
  var table = false

  @Flag(help: "Print the table as JSON.")
  var json = false

  @OptionGroup(title: "How the runs are carried out")
  var flags: RunFlags

  @OptionGroup(title: "Config keys")
  var keys: ConfigFlags

  func validate() throws {
    if grid.isEmpty { throw ValidationError("--grid is missing, as in --grid 'learning_rate=1e-4|1e-3'") }
    if parallelRuns < 1 { throw ValidationError("--parallel-runs must be at least 1") }
  }

  func run() throws {
    let sweep = try Sweep(file: config, overrides: keys.overrides(), grid: SweepGrid(grid))
    let result = Result {
      guard !table else { return try SweepReport(sweep).write() }
      var options = try flags.options()
      options.parallelRuns = parallelRuns
      try sweep.train(options: options)
    }
    let report = try SweepReport(sweep)
    print(json ? report.json.text : "\n\(report.text)\n\n\(sweep.folder)/sweep.html")
    try result.get()
  }
}
