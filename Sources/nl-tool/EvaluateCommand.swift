import ArgumentParser
import Files
import NestedLearning
import Service
import Synchronization

struct EvaluateCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "evaluate",
    abstract: "Measure a model on a file of rows: loss, perplexity and accuracy over all trained tokens.",
    discussion: """
      Example:
        nl-tool evaluate --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --data valid.jsonl
        nl-tool evaluate --model SmolLM2-135M-Instruct --data conversations.jsonl --train-on all
        nl-tool evaluate --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --data test.jsonl --kl --exact-match

      Of prompt/completion rows and conversations, the loss is that of completions and of the assistant's turns, as in \
      training, unless --train-on all is given. Accuracy is the share of these tokens that the model finds the likeliest.

      Of an adapter with heads of tasks, rows are of these, and what is told is the loss, the accuracy and F1 (macro) of each.
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

  @Flag(
    help:
      "Compare with the base model: the mean of KL(p_base ‖ p) over the trained tokens and the whole vocabulary, in nats."
  )
  var kl = false

  @Flag(
    help:
      "Answer the prompts, always by the likeliest token, and count the answers that are those of the rows: a completion, or a conversation's last turn of the assistant."
  )
  var exactMatch = false

  @Flag(
    help: "With --exact-match: an answer that goes on after the row's counts too, as base models give it.")
  var answersMayGoOn = false

  @Option(help: "With --exact-match: a file for the answers, one JSON object a line.")
  var answers: String?

  @Flag(help: "Print one JSON object.")
  var json = false

  func validate() throws {
    if batchSize < 1 { throw ValidationError("--batch-size must be at least 1") }
    if answersMayGoOn || answers != nil, !exactMatch {
      throw ValidationError("--answers and --answers-may-go-on are about --exact-match; give that too")
    }
    if let maxSeqLength, maxSeqLength < 2 { throw ValidationError("--max-seq-length must be at least 2") }
  }

  func run() throws {
    let loaded = try options.load()
    let line = TokenizingLine.standardError()
    var progress: WorkProgress?
    var label = ""
    let given = AnswerLines()
    var measured = measured
    if answers != nil { measured.onAnswer = { given.add($0) } }
    let result = try loaded.evaluate(data: data, measured, tokenizing: line.show) { done in
      line.clear()
      if done.label != label {
        progress?.finish()
        (progress, label) = (WorkProgress(label: done.label, unit: .rows), done.label)
      }
      progress?.show(done.rows, of: done.totalRows)
    }
    line.clear()
    progress?.finish()
    if let answers { try AtomicFile.write(given.bytes, to: answers) }
    print(json ? result.json.text : result.text)
  }

  private var measured: EvaluationOptions {
    var options = EvaluationOptions()
    options.batchSize = batchSize
    options.maxSequenceLength = maxSeqLength
    options.longRows = longRows
    options.trainOn = trainOn
    options.packing = packing
    options.date = chatTemplateDate
    options.comparesBase = kl
    options.matchesAnswers = exactMatch
    options.answersMayGoOn = answersMayGoOn
    return options
  }
}

/// The answers of an evaluation, one JSON object a line.
private final class AnswerLines: Sendable {
  private let lines = Mutex<[UInt8]>([])

  func add(_ answer: GivenAnswer) { lines.withLock { $0 += answer.json.bytes() + [0x0A] } }
  var bytes: [UInt8] { lines.withLock { $0 } }
}

extension LongRows: ExpressibleByArgument {}
extension TrainOn: ExpressibleByArgument {}
