import ArgumentParser
import Service

/// What `nl-coord serve` begins beside itself; it is nothing for a person to call: `nl-tool merge` and `export` are.
struct MakeCheckpointCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "make-checkpoint", abstract: "Make another form of a checkpoint for a service.",
    shouldDisplay: false)

  @Option var form: CheckpointForm
  @Option var adapter: String
  @Option var model: String
  @Option var output: String

  func run() throws {
    let maker = CheckpointMaker(
      form: form, adapter: adapter, model: model, output: output, failpoints: try Failpoints.ofEnvironment())
    guard maker.run() else { throw ExitCode.failure }
  }
}

extension CheckpointForm: ExpressibleByArgument {}
