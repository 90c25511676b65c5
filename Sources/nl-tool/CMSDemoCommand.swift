import ArgumentParser
import Files
import LanguageModel
import ProgramFlags
import Service

struct CMSDemoCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "cms-demo",
    abstract:
      "Train the continuum memory system of the Nested Learning notebook, and show what its levels do.",
    discussion: """
      Levels of memory one after the other, each Linear, GELU, Linear, learn to give back generated vectors; the first \
      updates at every step, the second at every 16th, the third at every 256th, each with an Adam of its own whose rate is \
      the base rate divided by that number. It is trained by the same coordinator and workers as a language model. At the \
      end there is a line for each level, the notebook's check of how often each was updated (the exit status is 1 if one \
      was not), and a page with its figures, which needs nothing beside itself.

      The same command goes on with a demonstration that was interrupted.

      Examples:
        nl-tool cms-demo
        nl-tool cms-demo --output /tmp/demo --local-workers 2
        nl-tool cms-demo --batch 8 --seq 4 --width 64 --inner 256 --steps 600 --output /tmp/small
      """)

  @Option(help: ArgumentHelp("The folder in which the run's folder cms-demo is made.", valueName: "dir"))
  var output = "runs"

  @Option(help: "Rows of a step.")
  var batch = 32

  @Option(help: "Vectors in a row.")
  var seq = 16

  @Option(help: "Steps.")
  var steps = 300

  @Option(help: "Numbers in a vector.")
  var width = 768

  @Option(help: "Numbers between the two maps of a level.")
  var inner = 3072

  @Option(parsing: .upToNextOption, help: "Steps between updates, a number for each level.")
  var chunks = [1, 16, 256]

  @Option(help: "The base rate.")
  var learningRate = 1e-4

  @Option(help: "Decides the first values and the vectors.")
  var seed: UInt64 = 42

  @OptionGroup(title: "How it is carried out")
  var flags: RunFlags

  func validate() throws {
    if !(learningRate > 0 && learningRate.isFinite) {
      throw ValidationError("--learning-rate must be above 0")
    }
  }

  func run() throws {
    let names = ContinuumMemoryShape.notebook.map(\.name)
    let levels = chunks.enumerated().map { number, chunk in
      ContinuumMemoryShape.Level(
        name: chunks.count == names.count ? names[number] : "level\(number + 1)", chunk: chunk)
    }
    let plan = try ContinuumMemoryPlan(
      shape: ContinuumMemoryShape(width: width, inner: inner, levels: levels),
      output: FileSystem.absolute(FileSystem.expandingTilde(output)), batch: batch, sequence: seq,
      steps: steps,
      learningRate: learningRate, seed: seed)
    try ContinuumMemoryDemo.train(plan, options: flags.options())
    let demo = try ContinuumMemoryDemo(plan)
    let page = plan.folder + "/cms-demo.html"
    try ContinuumMemoryPage(demo).write(to: page)
    print("\n\(demo.text)\n\n\(page)")
    if !demo.isAsExpected { throw ExitCode.failure }
  }
}
