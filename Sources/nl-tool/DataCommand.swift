import ArgumentParser
import Dataset
import Foundation
import JSON
import NestedLearning
import Service

struct DataCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "data", abstract: "Look at training data.", subcommands: [Inspect.self])

  struct Inspect: ParsableCommand {
    static let configuration = CommandConfiguration(
      abstract:
        "Show what training makes of files of rows: kinds, lengths, what is left out, what is trained on.",
      discussion: """
        A row is one of these, and a file may hold several kinds:
          {"text": "…"}                             trained on as a whole
          {"prompt": "…", "completion": "…"}        raw text; the completion is trained on
          {"prompt": […], "completion": […]}        messages, through the chat template
          {"messages": [{"role": …, "content": …}], "tools": […]}
          {"conversations": [{"from": "human", "value": …}]}   ShareGPT, or messages
          {"instruction": …, "input": …, "output": …}          alpaca: "Below is an instruction …"
          {"task": …, "text": …, "label": …}                   of one of --tasks; then all rows are of these

        Of conversations the assistant's turns are trained on, each up to its first end of turn; --train-on all trains on \
        everything. Text that is trained on is green on a terminal, and between marks elsewhere or where NO_COLOR is set.

        Examples:
          nl-tool data inspect train.jsonl --model Qwen2.5-0.5B-Instruct
          nl-tool data inspect data/ --model SmolLM2-135M-Instruct --max-seq-length 2048 --examples 10
          nl-tool data inspect train.jsonl.gz --model Qwen2.5-0.5B --json
          nl-tool data inspect rows.jsonl --model Qwen2.5-0.5B \
            --tasks '{"name": "mood", "type": "classification", "labels": ["bad", "good"]}'
        """)

    @Argument(help: "Files of rows, or folders with train, valid and test files.")
    var files: [String]

    @Option(help: "A model folder in Hugging Face's layout; only its tokenizer and chat template are read.")
    var model: String

    @Option(help: "Tokens of a row at most, as in training.")
    var maxSeqLength = 512

    @Option(help: ArgumentHelp("What becomes of longer rows.", valueName: "cut|split|error"))
    var longRows: LongRows = .cut

    @Option(help: ArgumentHelp("Which tokens have a loss.", valueName: "completions|all"))
    var trainOn: TrainOn = .completions

    @Option(
      parsing: .upToNextOption,
      help: ArgumentHelp("The tasks that rows are of, as in training.", valueName: "json"))
    var tasks: [String] = []

    @Option(help: "Rows of each file to show.")
    var examples = 3

    @Option(help: "The day that the chat template sees, as 2026-11-29; by default today.")
    var chatTemplateDate: String?

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
      if maxSeqLength < 2 { throw ValidationError("--max-seq-length must be at least 2") }
      if !(0...1000).contains(examples) { throw ValidationError("--examples must be from 0 to 1000") }
    }

    func run() throws {
      let line = TokenizingLine.standardError()
      let inspection = try DataInspection(
        paths: files, model: model, options: RowOptions(maxLength: maxSeqLength, longRows: longRows),
        trainOn: trainOn, exampleCount: examples, tasks: definitions(), date: chatTemplateDate,
        progress: line.show)
      line.clear()
      print(json ? inspection.json.text : inspection.text(colors: Self.wantsColors))
    }

    /// - Throws: `ConfigError` for what is no task.
    private func definitions() throws -> [TaskDefinition] {
      guard !tasks.isEmpty else { return [] }
      let values = try tasks.map { text in
        do { return try JSONValue(parsing: text) } catch { throw ValidationError("--tasks: \(error)") }
      }
      return try NestedLearningConfig(
        object: ["base_model_path": "none", "train_data_path": "none"], file: "--tasks",
        overrides: [("tasks", .array(values))]
      ).tasks
    }

    /// As no-color.org asks: a terminal, unless NO_COLOR is set to something.
    private static var wantsColors: Bool {
      let environment = ProcessInfo.processInfo.environment
      return isatty(1) == 1 && (environment["NO_COLOR"] ?? "").isEmpty && environment["TERM"] != "dumb"
    }
  }
}
