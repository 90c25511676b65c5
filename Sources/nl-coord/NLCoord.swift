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
      StatusCommand.self, WriteTextsCommand.self, MakeCheckpointCommand.self,
    ])

  /// A process that a service begins beside itself has the service's environment, and is told all it needs.
  static func main() {
    let arguments = Array(CommandLine.arguments.dropFirst())
    let ofService = [WriteTextsCommand.configuration, MakeCheckpointCommand.configuration].map(\.commandName)
    let isOfService = arguments.first.map { ofService.contains($0) } ?? false
    mainWithEnvironment(arguments, environment: isOfService ? [:] : ProcessInfo.processInfo.environment)
  }
}
