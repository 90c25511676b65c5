import ArgumentParser
import Service

struct PauseCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "pause",
    abstract: "Have the coordinator that works on a run rest after the step in hand.",
    discussion: """
      Everything is written down first. The workers stay, and go to other runs of the same coordinator meanwhile. \
      `nl-coord resume DIR` goes on, to the same bits as without the pause. For this machine, and for the user who \
      began the run.

      Examples:
        nl-coord pause runs/demo
        nl-coord status runs/demo
        nl-coord resume runs/demo
      """)

  @Argument(help: "The run's folder: <output_path>/<experiment_name>.")
  var folder: String

  func run() throws {
    guard let status = try StatusClient.tell(.pause, folder: folder) else {
      throw ServiceError(
        "no coordinator on this machine works on \(folder)",
        remedy: "nl-coord status \(folder) says how it stands")
    }
    print("It rests when the step in hand is done.\n\n\(status.text)")
  }
}
