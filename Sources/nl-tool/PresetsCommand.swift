import ArgumentParser
import JSON
import NestedLearning

struct PresetsCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "presets",
    abstract: "List the presets of nl-coord train, and the values of each.",
    discussion: """
      A preset gives values to keys that neither the config file nor a flag gives; the run's config.json has its name. \
      It is given as --preset NAME, or in the config file as `preset`.

      Examples:
        nl-tool presets
        nl-coord train --config demo.yaml --preset quick
      """)

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() {
    if json {
      let members = TrainingPreset.all.map { preset in
        JSONObject.Member(
          key: preset.name,
          value: .object(JSONObject(preset.values.map { .init(key: $0.key, value: $0.value) })))
      }
      return print(JSONValue.object(JSONObject(members)).text)
    }
    for preset in TrainingPreset.all {
      print("\(preset.name): \(preset.purpose)")
      print(
        "  " + preset.values.map { "\($0.key): \($0.value.string ?? $0.value.text)" }.joined(separator: ", "))
    }
  }
}
