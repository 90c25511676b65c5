import Dataset
import Files
import LanguageModel
import NestedLearning
import WireProtocol

extension LoadedModel {
  /// The tasks whose heads the adapter has.
  public var tasks: [TaskHead] { model.heads }

  /// What is measured on rows, of all labels and by task; micro-batches added in the tree that evaluations in training have.
  func taskSums(
    over batches: EvaluationBatches, progress: (Int) -> Void
  ) throws -> (loss: Double, tasks: [TaskSums]) {
    var each: [(loss: Double, tasks: [TaskSums])] = []
    for (number, batch) in zip(batches.indices, batches) {
      let tasks = try model.taskScores(batch).map(TaskSums.init)
      each.append((tasks.reduce(0) { $0 + $1.loss }, tasks))
      progress(batches.rowNumbers(number).upperBound)
    }
    return try ReductionTree.reduce(each) { sum, other in
      sum = (sum.loss + other.loss, zip(sum.tasks, other.tasks).map { $0 + $1 })
    }
  }

  /// What the model makes of each row of a file, in order. Rows are as in training, and need no labels.
  ///
  /// - Throws: `ServiceError` without heads, `DataError` for a row that cannot be read, and what `body` throws.
  public func predict(data path: String, _ body: (TaskPrediction) throws -> Void) throws {
    let encoder = try taskEncoder()
    try TaskPrompt.forEach(in: FileSystem.absolute(path), encoder: encoder) { prompt in
      guard let prediction = try predictions([prompt]).first else { return }
      try body(prediction)
    }
  }

  /// What the model makes of a text.
  ///
  /// - Parameter names: of tasks; nil for all, in as few passes through the transformer as there are ways to cut the text
  ///   into tokens: one, unless words to be labelled are not a space apart.
  /// - Throws: `ServiceError` without heads, or for a task that the adapter has none for.
  public func predict(text: String, tasks names: [String]? = nil) throws -> [TaskPrediction] {
    let encoder = try taskEncoder()
    let numbers = try names.map { try $0.map(number) } ?? Array(tasks.indices)
    return try predictions(numbers.map { try TaskPrompt(text: text, task: $0, encoder: encoder) })
  }

  private func number(ofTask name: String) throws(ServiceError) -> Int {
    guard let number = tasks.firstIndex(where: { $0.name == name }) else {
      throw ServiceError(
        "the adapter has no head for a task \(name)",
        remedy: "its tasks are \(tasks.map(\.name).joined(separator: ", "))")
    }
    return number
  }

  private func taskEncoder() throws -> RowEncoder {
    guard !tasks.isEmpty else {
      throw ServiceError(
        "there are no heads of tasks to predict with", remedy: "give --adapter of a run that had tasks")
    }
    return try RowEncoding(tokenizer: tokenizer, folder: folder, trainOn: .all, date: nil, tasks: tasks)
      .encoder
  }

  /// Prompts of the same ids in one pass; in their order.
  private func predictions(_ prompts: [TaskPrompt]) throws -> [TaskPrediction] {
    var results = [TaskPrediction?](repeating: nil, count: prompts.count)
    for group in Dictionary(grouping: prompts.indices, by: { prompts[$0].ids }).values {
      let ids = prompts[group[0]].ids
      guard !ids.isEmpty else {
        throw ServiceError("a text has no token", remedy: "give one that is not empty")
      }
      try check(ids)
      let outputs = try model.taskOutputs(MicroBatch(rows: [ids]), tasks: group.map { prompts[$0].task })
      for (place, output) in zip(group, outputs) { results[place] = prediction(prompts[place], output) }
    }
    return results.compactMap(\.self)
  }

  private func prediction(_ prompt: TaskPrompt, _ output: TaskOutput) -> TaskPrediction {
    let (values, n) = (output.probabilities.values, output.probabilities.shape[1])
    func choice(row: Int) -> TaskPrediction.Choice {
      let best = (0..<n).reduce(0) { values[row * n + $1] > values[row * n + $0] ? $1 : $0 }
      let label =
        output.head.kind == .languageModeling
        ? tokenizer.decode([Int32(best)], skipSpecialTokens: false) : output.head.labels[best]
      return .init(label: label, probability: Double(values[row * n + best]))
    }
    let isOfWords = output.head.kind == .tokenClassification
    return TaskPrediction(
      line: prompt.line, task: output.head.name, choice: isOfWords ? nil : choice(row: 0),
      all: output.head.kind == .classification
        ? output.head.labels.enumerated().map { .init(label: $1, probability: Double(values[$0])) } : [],
      words: isOfWords ? prompt.words.map { ($0.word, $0.place.map(choice(row:))) } : [])
  }
}
