import ArgumentParser

@main
struct NL: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nl",
    abstract: "Everything of nested learning that needs no cluster.",
    discussion: """
      To train, see `nl-coord train --help`.
      """,
    subcommands: [
      TokenizeCommand.self, LogitsCommand.self, GenerateCommand.self, EvaluateCommand.self, ModelCommand.self,
      BenchCommand.self, KeygenCommand.self, SimulateCommand.self,
    ])
}
