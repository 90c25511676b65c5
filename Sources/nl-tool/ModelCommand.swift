import ArgumentParser
import Files
import JSON
import LanguageModel

struct ModelCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "model", abstract: "Look at a model folder, or make one.",
    subcommands: [Inspect.self, Initialize.self, Import.self, Load.self])

  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "inspect", abstract: "Say what a model folder holds.",
      discussion: """
        Example:
          nl-tool model inspect Qwen2.5-0.5B
        """)

    @Argument(help: "A model folder in Hugging Face's layout.")
    var folder: String

    @Flag(help: "Print one JSON object.")
    var json = false

    func run() throws {
      let report = try ModelInspection.report(folder: FileSystem.expandingTilde(folder))
      print(json ? report.json.text : report.text)
    }
  }

  struct Initialize: ParsableCommand {
    static let configuration = CommandConfiguration(
      commandName: "init", abstract: "Make a model folder with random weights, to be trained in full.",
      discussion: """
        Example:
          nl-tool model init --config tiny/config.json --tokenizer tiny --output tiny-model
        """)

    @Option(help: "A config.json with model_type and the sizes.")
    var config: String

    @Option(help: "The folder to make.")
    var output: String

    @Option(help: "A folder whose tokenizer files are copied.")
    var tokenizer: String?

    @Option(help: "Seed of the random weights.")
    var seed: UInt64 = 42

    @Option(help: "How weights are stored: f32, bf16 or f16.")
    var dtype = "f32"

    func run() throws {
      try ModelInitializer.create(
        config: FileSystem.expandingTilde(config), output: FileSystem.expandingTilde(output),
        tokenizer: tokenizer.map(FileSystem.expandingTilde), seed: seed, dtype: dtype)
      print(try ModelInspection.report(folder: FileSystem.expandingTilde(output)).text)
    }
  }
}
