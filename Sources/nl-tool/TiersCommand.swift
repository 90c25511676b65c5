import ArgumentParser
import Foundation
import ProgramFlags
import Service

struct TiersCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "tiers",
    abstract: "Show how a config divides parameters into tiers, without training.",
    discussion: """
      For each tier: its period and phase, its updates in the run, what the learning rate is multiplied by, its \
      parameters and their share, and the layers and modules that they are of. A tier with fewer than ten updates in the \
      run is warned of. Config and model are read; data only for parameter_importance, whose gradients are then measured.

      Examples:
        nl-tool tiers --config demo.yaml
        nl-tool tiers --config demo.yaml --tier-assignment-strategy module_type --num-tiers 2 --tier-update-frequencies 1 4
        nl-tool tiers --config demo.yaml --tier-phase staggered --modules
        nl-tool tiers --config demo.yaml --json
      """)

  @Option(help: ArgumentHelp("The config file, JSON or YAML, as for nl-coord train.", valueName: "file"))
  var config: String?

  @Flag(help: "Name every module of each tier.")
  var modules = false

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Config keys, which win over the file")
  var keys: ConfigFlags

  func run() throws {
    let line = TokenizingLine.standardError()
    let table = try TierTable(
      config: RunConfig.read(file: config, overrides: keys.overrides()),
      threads: ProcessInfo.processInfo.activeProcessorCount, progress: line.progress)
    line.clear()
    print(json ? table.json.text : table.text(listsModules: modules))
  }
}
