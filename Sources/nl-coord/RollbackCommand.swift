import ArgumentParser
import Files
import Service

struct RollbackCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "rollback",
    abstract: "Take a stopped run back to an earlier step.",
    discussion: """
      What came after the step is void: its steps, evaluations, checkpoints and snapshots. The return is recorded in \
      the run's ledger. When the run goes on, it computes these steps again, to the same bits unless something has \
      changed. A run can go back to the steps of its snapshots; each numbered checkpoint that is kept keeps one.

      Examples:
        nl-coord rollback runs/demo --list
        nl-coord rollback runs/demo --to-step 200
        nl-coord resume runs/demo
      """)

  @Argument(help: "The run's folder: <output_path>/<experiment_name>.")
  var folder: String

  @Option(help: ArgumentHelp("The step to go back to; 0 begins anew.", valueName: "n"))
  var toStep: Int?

  @Flag(help: "List the steps that the run can go back to, and change nothing.")
  var list = false

  @Flag(help: "With --list: print one JSON object.")
  var json = false

  func validate() throws {
    if (toStep == nil) != list {
      throw ValidationError("give either --to-step N, or --list for the steps that the run can go back to")
    }
    if json && !list { throw ValidationError("--json is for --list") }
  }

  func run() throws {
    if let toStep { return print(try CoordinatorProcess.rollBack(folder: folder, toStep: toStep)) }
    let steps = try ReturnSteps(folder: FileSystem.expandingTilde(folder))
    print(json ? steps.json.text : steps.text)
  }
}
