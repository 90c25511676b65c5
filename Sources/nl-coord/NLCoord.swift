import ArgumentParser
import Foundation
import ProgramFlags

@main
struct NLCoord: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nl-coord",
    abstract: "Train in tiers, on this machine or across many.",
    discussion: """
      Every flag can also be given by the environment: NL_ and its name in capitals, --num-steps is NL_NUM_STEPS. A \
      flag wins over the environment, and that over the config file.
      """,
    subcommands: [
      TrainCommand.self, ServeCommand.self, PauseCommand.self, ResumeCommand.self, RollbackCommand.self,
      StatusCommand.self,
    ])

  static func main() {
    mainWithEnvironment(
      Array(CommandLine.arguments.dropFirst()), environment: ProcessInfo.processInfo.environment)
  }
}
