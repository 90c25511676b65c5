import ArgumentParser
import NestedLearning
import Service

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure the loss of a model on a file of rows: the mean over all trained tokens.",
    discussion: """
      Example:
        nl-tool evaluate --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --data valid.jsonl
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "Rows {\"text\": …}: JSONL, a JSON list, or CSV with a header; may be compressed by gzip.")
  var data: String

  @Option(help: "Rows in a micro-batch.")
  var batchSize = 8

  @Option(
    help: "Tokens of a row at most; by default 512, or the model's positions if these are fewer.")
  var maxSeqLength: Int?

  @Option(
    help: ArgumentHelp(
      "What becomes of longer rows; they are counted and reported.", valueName: "cut|split|error"))
  var longRows: LongRows = .cut

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if batchSize < 1 { throw ValidationError("--batch-size must be at least 1") }
    if let maxSeqLength, maxSeqLength < 2 { throw ValidationError("--max-seq-length must be at least 2") }
  }

  func run() throws {
    let result = try options.load().evaluate(
      data: data, batchSize: batchSize, maxSequenceLength: maxSeqLength, longRows: longRows)
    print(json ? result.json.text : result.text)
  }
}

extension LongRows: ExpressibleByArgument {}
