import ArgumentParser
import Files
import Service

struct PredictCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "predict",
    abstract: "Tell what the heads of tasks make of a text, or of the rows of a file.",
    discussion: """
      The adapter is one of a run that had tasks: heads for classification, token classification or language modelling over \
      one transformer. Of a text all tasks are told, in one pass, unless --task names some. Rows are those of training, \
      {"task": …, "text": …}; they need no label.

      Examples:
        nl-tool predict --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --text "What a day"
        nl-tool predict --model Qwen2.5-0.5B --adapter runs/demo/checkpoints/best --data rows.jsonl --json
      """)

  @OptionGroup var options: ModelOptions

  @Option(help: "The text.")
  var text: String?

  @Option(help: "Rows, as in training.")
  var data: String?

  @Option(help: "With --text: a task to tell of; may be given again. By default all.")
  var task: [String] = []

  @Flag(help: "Print one JSON object a line.")
  var json = false

  func validate() throws {
    if (text == nil) == (data == nil) { throw ValidationError("give either --text or --data") }
    if data != nil, !task.isEmpty {
      throw ValidationError("--task is for --text; rows name their tasks themselves")
    }
  }

  func run() throws {
    let loaded = try options.load()
    if let text {
      for prediction in try loaded.predict(text: text, tasks: task.isEmpty ? nil : task) { show(prediction) }
    } else if let data {
      try loaded.predict(data: FileSystem.expandingTilde(data), show)
    }
  }

  private func show(_ prediction: TaskPrediction) {
    print(json ? prediction.json.text : prediction.description)
  }
}
