import ArgumentParser
import Files
import Service

struct DiffCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "diff",
    abstract: "Say how far two adapters, checkpoints or runs are from each other, by tier and module.",
    discussion: """
      A and B are each a run (its newest checkpoint), a checkpoint, an adapter in the form of mlx-lm or PEFT, or a model \
      folder. A run alone is compared with what it started from: B − A is then the drift θ − θ₀. Norms are Frobenius \
      norms. An adapter's pairs are compared as they are, and by what they change the model's matrices by, s·BA, with the \
      effective rank of that: exp of the entropy of its normalised singular values (Roy and Vetterli 2007).

      Examples:
        nl-tool diff runs/demo
        nl-tool diff runs/demo runs/other --modules
        nl-tool diff runs/demo/checkpoints/best runs/demo/checkpoints/final --json
        nl-tool diff peft-adapter mlx-adapter --model Qwen2.5-0.5B
      """)

  @Argument(help: "A run, a checkpoint, an adapter or a model folder.")
  var a: String

  @Argument(help: "What is compared with it; without it, a run is compared with its start.")
  var b: String?

  @Option(help: "The folder of the base model of adapters that do not say where it is.")
  var model: String?

  @Flag(help: "A line for each module, too.")
  var modules = false

  @Flag(help: "Print one JSON object.")
  var json = false

  func run() throws {
    let comparison = try WeightComparison(
      FileSystem.expandingTilde(a), b.map(FileSystem.expandingTilde),
      model: model.map(FileSystem.expandingTilde))
    print(json ? comparison.json.text : comparison.text(listsModules: modules))
  }
}
