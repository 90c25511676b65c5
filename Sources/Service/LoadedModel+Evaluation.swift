import Dataset
import Files
import LanguageModel
import NestedLearning

extension LoadedModel {
  /// Measures the model on rows.
  ///
  /// - Parameters:
  ///   - path: a file, or a folder with a test or valid file.
  ///   - tokenizing: is told how far the tokenizing has come.
  ///   - progress: is told how far the evaluation has come.
  /// - Throws: `ServiceError` and `DataError` if something does not fit or is broken.
  public func evaluate(
    data path: String, _ options: EvaluationOptions, tokenizing: ((TokenizingProgress) -> Void)? = nil,
    progress: ((EvaluationProgress) -> Void)? = nil
  ) throws -> Evaluation {
    let maxLength = try maxLength(options)
    let base = options.comparesBase ? try comparedBase() : nil
    let encoding = try RowEncoding(
      tokenizer: tokenizer, folder: folder, trainOn: options.trainOn, date: options.date, tasks: tasks)
    let read = try Self.files(FileSystem.absolute(path)).map {
      try TokenRows(
        file: $0, encoder: encoding.encoder,
        options: RowOptions(maxLength: maxLength, longRows: options.longRows), cache: encoding.cache,
        progress: tokenizing)
    }
    let rows = RowSet(joining: read.map(\.rows))
    try EmbeddingRows(tokenizer: tokenizer, model: model.configuration).check(rows)
    var batches = EvaluationBatches(
      rows: rows, batchSize: options.batchSize, packLength: options.packing ? maxLength : nil)
    if let domains = model.domains, domains.adaptsNorms, model.domain == nil {
      batches.domains = try RowField.domains(of: rows, domains)
    }
    let showProgress = { (done: Int) -> Void in
      progress?(EvaluationProgress(label: "Evaluating", rows: done, totalRows: rows.count))
    }
    guard tasks.isEmpty else {
      guard base == nil, !options.matchesAnswers else {
        throw ServiceError(
          "--kl and --exact-match are about tokens of the vocabulary, and the adapter has heads of tasks",
          remedy: "leave them out")
      }
      let sums = try taskSums(over: batches, progress: showProgress)
      return Evaluation(
        lossSum: sums.loss, tasks: zip(tasks, sums.tasks).map { ($0.name, $1) },
        rows: rows.count, reports: read.map(\.report))
    }
    let sums = try sums(over: batches, base: base, progress: showProgress)
    let answers =
      options.matchesAnswers
      ? try answers(in: read, encoding.encoder, options) { done, total in
        progress?(EvaluationProgress(label: "Answering", rows: done, totalRows: total))
      } : nil
    return Evaluation(
      loss: sums.loss / Double(sums.tokens), correctTokens: sums.correct,
      divergence: base.map { _ in sums.divergence / Double(sums.tokens) }, answers: answers,
      tokens: sums.tokens, rows: rows.count, reports: read.map(\.report))
  }

  private func maxLength(_ options: EvaluationOptions) throws(ServiceError) -> Int {
    let positions = model.configuration.maxPositions
    if let length = options.maxSequenceLength, length > positions {
      throw ServiceError(
        "--max-seq-length is \(length), but the model has \(positions) positions (max_position_embeddings)",
        remedy: "give \(positions) or less")
    }
    return options.maxSequenceLength ?? min(512, positions)
  }

  private func comparedBase() throws -> TrainableModel {
    guard isAdapted else {
      throw ServiceError(
        "--kl compares the adapted model with its base, and there is no adapter", remedy: "give --adapter")
    }
    let base = try base()
    let (own, its) = (model.configuration.vocabularySize, base.configuration.vocabularySize)
    guard own >= its else {
      throw ServiceError(
        "--kl needs every token of the base model (\(its)), and the adapter leaves \(own)",
        remedy: "leave --kl out")
    }
    return base
  }

  private struct Sums {
    var loss = 0.0
    var divergence = 0.0
    var correct = 0
    var tokens = 0
  }

  /// Sums over all trained tokens, micro-batches added in the tree that evaluations in training have.
  private func sums(
    over batches: EvaluationBatches, base: TrainableModel?, progress: (Int) -> Void
  ) throws -> Sums {
    var sums = Sums()
    var losses: [Double] = []
    var divergences: [Double] = []
    for (number, batch) in zip(batches.indices, batches) {
      if let base {
        do { try base.check(batch.tokens) } catch {
          throw ServiceError(
            "--kl: \(error): the adapter has added it, and the base model has no answer to it",
            remedy: "leave --kl out")
        }
      }
      let scores = try model.scores(batch, against: base)
      losses.append(scores.losses.reduce(0, +))
      divergences.append(scores.divergences.reduce(0, +))
      sums.correct += scores.correct
      sums.tokens += batch.trainedTokens
      progress(batches.rowNumbers(number).upperBound)
    }
    sums.loss = try ReductionTree.reduce(losses, add: { $0 += $1 })
    sums.divergence = try ReductionTree.reduce(divergences, add: { $0 += $1 })
    return sums
  }

  private func answers(
    in files: [TokenRows], _ encoder: RowEncoder, _ options: EvaluationOptions,
    progress: (Int, Int) -> Void
  ) throws -> AnswerCounts {
    let check = AnswerCheck(self, mayGoOn: options.answersMayGoOn, onAnswer: options.onAnswer)
    let total = files.reduce(0) { $0 + $1.report.kinds.values.reduce(0, +) }
    var counts = AnswerCounts()
    for file in files {
      try PromptRow.forEach(in: file.file, encoder: encoder) { row in
        try check.count(row, in: &counts)
        progress(counts.asked + counts.withoutAnswer, total)
      }
    }
    guard counts.asked > 0 else {
      throw ServiceError(
        "--exact-match needs rows with an answer, and there are none",
        remedy: "give rows with prompt and completion, or with messages")
    }
    return counts
  }

  /// Of a folder its test files, else its valid files.
  private static func files(_ path: String) throws(DataError) -> [String] {
    do throws(DataError) { return try DataFiles.files(path, .test) } catch {
      return try DataFiles.files(path, .valid)
    }
  }
}
