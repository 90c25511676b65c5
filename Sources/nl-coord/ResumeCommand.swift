import ArgumentParser
import Service

struct ResumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume",
    abstract: "Go on with a run that was stopped, to the same bits as if it had not been.",
    discussion: """
      Examples:
        nl-coord resume runs/demo --local-workers 2
        nl-coord resume runs/demo --listen tcp://10.0.0.1:5555 --key coordinator.key --allow-keys workers.txt
      """)

  @Argument(help: "The run's folder: <output_path>/<experiment_name>.")
  var folder: String

  @OptionGroup(title: "How the run is carried out")
  var flags: RunFlags

  func run() throws { try CoordinatorProcess.resume(folder: folder, options: flags.options()) }
}
