import ArgumentParser
import Foundation
import ProgramFlags

@main
struct NL: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nl-tool",
    abstract: "Everything of nested learning that needs no cluster.",
    discussion: """
      To train, see `nl-coord train --help`. Every flag can also be given by the environment: NL_ and its name in \
      capitals, --max-tokens is NL_MAX_TOKENS.
      """,
    subcommands: [
      ModelCommand.self, DataCommand.self, TiersCommand.self, ScheduleCommand.self,
      PresetsCommand.self, TokenizeCommand.self,
      RenderCommand.self, LogitsCommand.self,
      GenerateCommand.self, ChatCommand.self, EvaluateCommand.self, PredictCommand.self, ProbeCommand.self,
      ExportCommand.self,
      MergeCommand.self,
      DiffCommand.self, ReportCommand.self, VerifyCommand.self, SweepCommand.self,
      CMSDemoCommand.self,
      CacheCommand.self,
      BenchCommand.self, KeygenCommand.self, SimulateCommand.self, HealthCommand.self,
    ])

  static func main() {
    mainWithEnvironment(
      Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
  }
}
