import ArgumentParser
import Foundation
import ProgramFlags
import Service

struct VerifyCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "verify",
    abstract: "Prove recorded steps of a run on this machine alone.",
    discussion: """
      Steps are computed again from the nearest snapshot before them, as their workers and their coordinator computed them, \
      and everything that the ledger has of them is held to what comes out. No worker and no coordinator is needed; the run \
      is not changed, and may be at work meanwhile. It takes one machine as long as it takes to compute these steps.

      Without --step or --all: the steps from the snapshot before the last step on. With --all each stretch between two kept \
      snapshots by itself: behind the first wrong step of one, the others of it cannot be proved.

      The exit status is 0 if every step asked for is proved. It is 1 if one is wrong: said are its layer or module, what of \
      it is wrong, and whose fault it is:
        forward      a layer's output                  accumulate   what a worker has added gradients up to
        loss         the loss                          reduction    what the coordinator has made of results
        backward     the gradient by a layer's input   snapshot     the state that was kept
        gradient     a module's gradient               record       what the ledger says; the step itself is right
        evaluation   what an evaluation has found

      Where steps follow evaluations (a curriculum, lr_schedule plateau, tasks_schedule worst_first) these are computed again as \
      well: with --all every one of them, else those between the steps that are proved, and the one before the first of them.

      Examples:
        nl-tool verify runs/demo
        nl-tool verify runs/demo --step 120
        nl-tool verify runs/demo --all --json
        nl-tool verify copies/demo --base-model-path /models/Qwen2.5-0.5B --train-data-path train.jsonl
      """)

  @Argument(help: "The run's folder: <output_path>/<experiment_name>.")
  var folder: String

  @Option(
    help: ArgumentHelp("Prove this step, and those between it and the snapshot before it.", valueName: "n"))
  var step: Int?

  @Flag(help: "Prove every step that can be proved.")
  var all = false

  @Option(help: "How many threads compute; by default one a core.")
  var threads: Int?

  @Flag(help: "Print one JSON object.")
  var json = false

  @OptionGroup(title: "Where the run's files are now, if they were moved")
  var moved: MovedFlags

  func validate() throws {
    if step != nil && all { throw ValidationError("give either --step N or --all") }
    if let step, step < 1 { throw ValidationError("--step must be at least 1: steps are counted from 1") }
    if let threads, threads < 1 { throw ValidationError("--threads must be at least 1") }
  }

  func run() throws {
    let reading = TokenizingLine.standardError()
    let verifier = try RunVerifier(
      folder: folder, paths: moved.paths,
      threads: threads ?? ProcessInfo.processInfo.activeProcessorCount, progress: reading.progress)
    reading.clear()
    var progress = WorkProgress(label: "Verifying", unit: .steps)
    let scope: RunVerifier.Scope = all ? .all : step.map { .step($0) } ?? .newest
    let proof = try verifier.verify(scope) { progress.show($0, of: $1) }
    progress.finish()
    print(json ? proof.json.text : proof.text)
    if !proof.isProved { throw ExitCode.failure }
  }
}
