import LanguageModel

/// Tokens that a run adds to the vocabulary of its base model.
struct NewTokens {
  /// With them.
  let tokenizer: Tokenizer
  /// The model with rows for them.
  let folder: ModelFolder
  /// Rows that the embedding has in the model's files.
  private let baseRows: Int

  /// - Parameter adapter: the folder of an adapter to go on from, which brings its tokens along; nil for a fresh one.
  init(_ tokens: [String], adapter: String?, folder: ModelFolder) throws {
    var tokens = tokens
    if let adapter, tokens.isEmpty {
      tokens = try TokenizerWriter.tokens(addedIn: adapter, to: folder.tokenizer())
    }
    tokenizer = try Tokenizer(modelFolder: folder.path, adding: tokens)
    baseRows = folder.configuration.vocabularySize
    self.folder = tokens.isEmpty ? folder : try folder.grown(to: max(baseRows, tokenizer.vocabularySize))
  }

  private var ids: [Int] { tokenizer.addedHere.compactMap { tokenizer.tokenID($0).map(Int.init) } }

  /// An embedding or a head with the mean of the base model's rows in the rows of the new tokens. Sums are Double, row by
  /// row from the first.
  ///
  /// - Parameter matrix: [rows, width], with the base model's in the first rows.
  func withMeanRows(_ matrix: HostTensor) -> [Float] {
    guard matrix.shape.count == 2, !ids.isEmpty else { return matrix.values }
    let width = matrix.shape[1]
    var sums = [Double](repeating: 0, count: width)
    matrix.values.withUnsafeBufferPointer { values in
      for row in 0..<min(baseRows, matrix.shape[0]) {
        for i in 0..<width { sums[i] += Double(values[row * width + i]) }
      }
    }
    let mean = sums.map { Float($0 / Double(baseRows)) }
    var values = matrix.values
    for id in ids where id < matrix.shape[0] {
      values.replaceSubrange(id * width..<(id + 1) * width, with: mean)
    }
    return values
  }

  /// What a person is told of them before training; nil if there are none.
  var line: String? {
    guard let first = ids.first, let last = ids.last else { return nil }
    let shown = tokenizer.addedHere.prefix(10).joined(separator: ", ")
    let more = ids.count > 10 ? ", and \(ids.count - 10) more" : ""
    return "Tokens   \(ids.count) added, with the ids \(first) to \(last): \(shown)\(more)"
  }
}
