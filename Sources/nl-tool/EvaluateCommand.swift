import ArgumentParser
import Service

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure the loss of a model on a JSONL file: the mean over all trained tokens.",
    discussion: """
      Example:
        nl-tool evaluate --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --data valid.jsonl
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "A JSONL file with a row {\"text\": …} a line.")
  var data: String

  @Option(help: "Rows in a micro-batch.")
  var batchSize = 8

  @Option(help: "Longer rows are cut to this many tokens.")
  var maxSeqLength = 512

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if batchSize < 1 { throw ValidationError("--batch-size must be at least 1") }
    if maxSeqLength < 2 { throw ValidationError("--max-seq-length must be at least 2") }
  }

  func run() throws {
    let result = try options.load().evaluate(
      data: data, batchSize: batchSize, maxSequenceLength: maxSeqLength)
    print(json ? result.json.text : result.text)
  }
}
