import ArgumentParser
import JSON
import NestedLearning
import ProgramFlags
import Service

struct ScheduleCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "schedule", abstract: "Look at learning rates before training.",
    subcommands: [PreviewCommand.self])

  struct PreviewCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "preview",
      abstract: "Draw the learning rate of each step.",
      discussion: """
        Takes the flags of nl-coord train, or its config file; model and data are not read. plateau is drawn as if the \
        rate never fell. With --json, learning_rate has one number a step, from step 1.

        Examples:
          nl-tool schedule preview --lr-schedule cosine --num-steps 1000 --warmup-steps 50 --learning-rate 1e-4
          nl-tool schedule preview --lr-schedule polynomial --lr-power 2 --lr-end 1e-6 --learning-rate 1e-4
          nl-tool schedule preview --config demo.yaml --json
        """)

    @Option(help: ArgumentHelp("The config file, JSON or YAML, as for nl-coord train.", valueName: "file"))
    var config: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup(title: "Config keys, which win over the file")
    var keys: ConfigFlags

    func run() throws {
      let values = keys.overrides()
      let preview = try SchedulePreview(
        config: config == nil
          ? SchedulePreview.config(values) : RunConfig.read(file: config, overrides: values))
      print(json ? preview.json.text : preview.text)
    }
  }
}
