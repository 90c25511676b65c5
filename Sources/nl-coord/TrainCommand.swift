import ArgumentParser
import Foundation
import JSON
import NestedLearning
import ProgramFlags
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

      Data files of 4 MB and more are tokenized once, into ~/.cache/nested-learning/tokens; NL_TOKEN_CACHE names another \
      folder, and `off` keeps their rows in memory. nl-tool data inspect shows what is made of a file.

      Examples:
        nl-coord train --config demo.yaml
        nl-coord train --config demo.yaml --local-workers 2 --threads-per-worker 4 --num-steps 200
        nl-coord train --base-model-path Qwen2.5-0.5B --train-data-path train.jsonl --experiment-name demo
        nl-coord train --config demo.yaml --local-workers 0 --listen tcp://127.0.0.1:5555
        nl-coord train --config demo.yaml --listen tcp://10.0.0.1:5555 --key coordinator.key --allow-keys workers.txt
        nl-coord train --config first.yaml --config second.yaml --local-workers 2
        nl-coord train --config a.yaml --config b.yaml --parallel-runs 2 --listen tcp://127.0.0.1:5555
        nl-coord train --config demo.yaml --metrics-listen 127.0.0.1:9464 --log-format json

      Keys are made with nl-tool keygen; see its --help.
      """)

  @Option(
    help: ArgumentHelp(
      "The config file, JSON or YAML. Given several times: these runs, in this order, with the same workers; one that "
        + "fails does not stop the others.", valueName: "file"))
  var config: [String] = []

  @Option(
    help: ArgumentHelp("With several configs: how many runs are at work together.", valueName: "n"))
  var parallelRuns = 1

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

  func validate() throws {
    if parallelRuns < 1 { throw ValidationError("--parallel-runs must be at least 1") }
  }

  private func train() throws {
    var options = try flags.options()
    options.parallelRuns = parallelRuns
    let overrides = keys.overrides()
    let configs = try (config.isEmpty ? [nil] : config.map(Optional.some)).map { file in
      (name: file ?? "the flags", config: try RunConfig.read(file: file, overrides: overrides))
    }
    if validateOnly { return print(try configs.map { try checked($0.config) }.joined(separator: "\n\n")) }
    guard configs.count > 1 else {
      return try CoordinatorProcess.train(config: configs[0].config, options: options, orResume: orResume)
    }
    try checkFolders(configs)
    try CoordinatorProcess.train(queue: configs, options: options, orResume: orResume)
  }

  /// What would be trained; what is to be known before goes to standard error.
  private func checked(_ config: NestedLearningConfig) throws -> String {
    let line = TokenizingLine.standardError()
    let plan = try RunPlan.measuring(
      config: config, threads: ProcessInfo.processInfo.activeProcessorCount, progress: line.progress)
    line.clear()
    for warning in plan.warnings + [try plan.checkDisk()].compactMap(\.self) {
      FileHandle.standardError.write(Data("warning: \(warning)\n".utf8))
    }
    return plan.summary
  }

  /// Two runs of one name would have one folder; found now, and not when it is the second one's turn.
  private func checkFolders(_ configs: [(name: String, config: NestedLearningConfig)]) throws {
    var first: [String: String] = [:]
    for (name, config) in configs {
      let folder = "\(config.outputPath)/\(config.experimentName)"
      if let other = first.updateValue(name, forKey: folder) {
        throw ServiceError(
          "\(other) and \(name) both have the run folder \(folder)",
          remedy: "give each an experiment_name of its own")
      }
    }
  }
}
