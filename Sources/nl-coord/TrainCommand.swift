import ArgumentParser
import Foundation
import JSON
import NestedLearning
import Service

struct TrainCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "train",
    abstract: "Train an adapter, or a whole model, in tiers.",
    discussion: """
      Options come from --config (JSON or YAML) and from the flags below, which win. Paths in the file are relative \
      to the file. Ctrl-C finishes the step and writes a checkpoint; `nl-coord resume DIR` goes on from there, and \
      `nl-coord rollback DIR` goes back. With --or-resume, model and data may lie elsewhere than before: they are \
      recognised by their SHA-256.

      Examples:
        nl-coord train --config demo.yaml
        nl-coord train --config demo.yaml --local-workers 2 --threads-per-worker 4 --num-steps 200
        nl-coord train --base-model-path Qwen2.5-0.5B --train-data-path train.jsonl --experiment-name demo
        nl-coord train --config demo.yaml --local-workers 0 --listen tcp://127.0.0.1:5555
        nl-coord train --config demo.yaml --listen tcp://10.0.0.1:5555 --key coordinator.key --allow-keys workers.txt
        nl-coord train --config demo.yaml --metrics-listen 127.0.0.1:9464 --log-format json

      Keys are made with nl-tool keygen; see its --help.
      """)

  @Option(help: "The config file, JSON or YAML.")
  var config: String?

  @OptionGroup(title: "How the run is carried out")
  var flags: RunFlags

  @Flag(
    help:
      "Go on with the run if its folder is there already; a finished one is left as it is. For restarts by others."
  )
  var orResume = false

  @Flag(help: "Check the config, the model and the data, say what would be trained, and stop.")
  var validateOnly = false

  @OptionGroup(title: "Config keys")
  var keys: ConfigFlags

  /// A config that is not one is not worth another try: `EX_CONFIG` of sysexits.h says so to whatever would start the
  /// program again.
  func run() throws {
    do { try train() } catch let error as ConfigError {
      try? FileHandle.standardError.write(contentsOf: Data("Error: \(error)\n".utf8))
      throw ExitCode(78)
    }
  }

  private func train() throws {
    let options = try flags.options()
    let config = try RunConfig.read(file: config, overrides: keys.overrides())
    if validateOnly {
      let plan = try RunPlan(config: config)
      for warning in plan.warnings + [try plan.checkDisk()].compactMap(\.self) {
        FileHandle.standardError.write(Data("warning: \(warning)\n".utf8))
      }
      return print(plan.summary)
    }
    try CoordinatorProcess.train(config: config, options: options, orResume: orResume)
  }
}
