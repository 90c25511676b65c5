import ArgumentParser

@main
struct NLCoord: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "nl-coord",
    abstract: "Train in tiers, on this machine or across many.",
    subcommands: [TrainCommand.self, ResumeCommand.self, StatusCommand.self])
}
