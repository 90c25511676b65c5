import ArgumentParser
import Files
import Foundation
import LanguageModel
import Service

struct MergeCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "merge",
    abstract: "Write a whole model out of a base model and an adapter.",
    discussion: """
      The folder loads wherever the base model does. Its config.json is the base's, and so are its tokenizer files \
      unless the adapter's folder has some. In f32 its logits are those of base and adapter together; bf16 rounds each \
      weight by 0.4 % at most.

      Example:
        nl-tool merge --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --output Qwen2.5-0.5B-demo
      """)

  @Option(help: "The base model's folder.")
  var model: String

  @Option(help: "An adapter folder, in the form of mlx-lm or of PEFT; a run's checkpoint is one.")
  var adapter: String

  @Option(help: "The folder to make.")
  var output: String

  @Option(
    help: ArgumentHelp("How weights are stored; by default as in the base model.", valueName: "bf16|f16|f32"))
  var dtype: WrittenType?

  @Option(help: ArgumentHelp("How large a file of weights may be, as in 5GB or 800MB.", valueName: "size"))
  var shardSize = ByteSize(bytes: ShardedSafetensorsWriter.standardSize)

  func run() throws {
    var merger = try ModelMerger(
      model: FileSystem.expandingTilde(model), adapter: FileSystem.expandingTilde(adapter))
    if let dtype { merger.dtype = dtype }
    merger.shardSize = shardSize.bytes
    for warning in merger.base.warnings { FileHandle.standardError.write(Data("warning: \(warning)\n".utf8)) }
    let interruption = Interruption()
    var progress = WorkProgress(label: "weights")
    let report = try merger.run(output: FileSystem.expandingTilde(output)) { done, total in
      try interruption.check()
      progress.show(done, of: total)
    }
    progress.finish()
    print(
      "\(output): \(report.tensors) tensors, \(report.changed) of them changed, \(report.bytes) bytes as "
        + "\(merger.dtype.rawValue) in \(report.files) file(s); the tokenizer is that of \(merger.tokenizerFolder)"
    )
  }
}
