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
        nl-tool evaluate --model SmolLM2-135M-Instruct --data conversations.jsonl --train-on all

      Of prompt/completion rows and conversations, the loss is that of completions and of the assistant's turns, as in \
      training, unless --train-on all is given.
      """)

  @OptionGroup var options: ModelOptions

  @Option(
    help:
      "Rows: JSONL, a JSON list, or CSV with a header; may be compressed by gzip. Or a folder with a test or valid file."
  )
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

  @Option(
    help: ArgumentHelp("Which tokens have a loss.", valueName: "completions|all"))
  var trainOn: TrainOn = .completions

  @Flag(help: "Put rows together up to --max-seq-length; --batch-size then counts these packs.")
  var packing = false

  @Option(help: "The day that the chat template sees, as 2026-11-29; by default today.")
  var chatTemplateDate: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if batchSize < 1 { throw ValidationError("--batch-size must be at least 1") }
    if let maxSeqLength, maxSeqLength < 2 { throw ValidationError("--max-seq-length must be at least 2") }
  }

  func run() throws {
    let line = TokenizingLine.standardError()
    let result = try options.load().evaluate(
      data: data, batchSize: batchSize, maxSequenceLength: maxSeqLength, longRows: longRows, trainOn: trainOn,
      packing: packing, date: chatTemplateDate, progress: line.show)
    line.clear()
    print(json ? result.json.text : result.text)
  }
}

extension LongRows: ExpressibleByArgument {}
extension TrainOn: ExpressibleByArgument {}
