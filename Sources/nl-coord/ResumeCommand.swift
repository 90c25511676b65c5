import ArgumentParser
import ProgramFlags
import Service

struct ResumeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "resume",
    abstract: "Go on with a run that was stopped, to the same bits as if it had not been.",
    discussion: """
      The run's model, data and adapter are recognised by their SHA-256. If they were moved, say where they are now; \
      the run's config.json then has the new paths.

      Examples:
        nl-coord resume runs/demo                     (goes on after nl-coord pause, too)
        nl-coord resume runs/demo --local-workers 2
        nl-coord resume runs/demo --listen tcp://10.0.0.1:5555 --key coordinator.key --allow-keys workers.txt
        nl-coord resume runs/demo --base-model-path /new/Qwen2.5-0.5B --train-data-path /new/train.jsonl
        nl-coord resume runs/demo --from-step 200
      """)

  @Argument(help: "The run's folder: <output_path>/<experiment_name>.")
  var folder: String

  @Option(
    help: ArgumentHelp(
      "Go back to this step first; what came later is void. nl-coord rollback DIR --list says to which.",
      valueName: "n"))
  var fromStep: Int?

  @OptionGroup(title: "Where the run's files are now, if they were moved")
  var moved: MovedFlags

  @OptionGroup(title: "How the run is carried out")
  var flags: RunFlags

  func run() throws {
    // One that rests in a coordinator at work is told to go on there.
    if fromStep == nil, moved.paths.isEmpty, try StatusClient.ask(folder: folder)?.isResting == true,
      let status = try StatusClient.tell(.resume, folder: folder)
    {
      return print("The coordinator that is at this run goes on with it.\n\n\(status.text)")
    }
    try CoordinatorProcess.resume(
      folder: folder, paths: moved.paths, fromStep: fromStep, options: flags.options())
  }
}
