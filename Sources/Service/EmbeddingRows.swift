import Dataset
import JSON
import LanguageModel

/// Holds the ids of texts to the rows of a model's embedding.
struct EmbeddingRows {
  let tokenizer: Tokenizer
  let model: ModelConfiguration

  /// As `check` of rows; these are looked at only if there is such a token.
  func check(_ data: TrainingData) throws(ServiceError) {
    let largest = (data.reports.train + data.reports.validation).map(\.largestID).max() ?? 0
    if Int(largest) >= model.vocabularySize { try check([data.train, data.validation].joined()) }
  }

  /// - Throws: `ServiceError` that names the token without a row, why it has none, and what to do.
  func check(_ rows: some Sequence<TokenRow>) throws(ServiceError) {
    let count = model.vocabularySize
    guard let id = rows.lazy.compactMap({ row in row.ids.first { $0 >= count } }).first(where: { _ in true })
    else {
      return
    }
    guard let token = tokenizer.addedToken(id) else {
      throw ServiceError(
        "the tokenizer gives the id \(id), but the model's vocabulary has \(count) entries",
        remedy: "the model folder's tokenizer.json belongs to another model")
    }
    throw ServiceError(
      "the token \(JSONValue.string(token.content).text) of \(token.file) has the id \(id), but the model's embedding has "
        + "\(count) rows (0 to \(count - 1)): it was added to the tokenizer without a row in the embedding",
      remedy:
        "resize the model's embedding to at least \(tokenizer.vocabularySize) rows (resize_token_embeddings in "
        + "transformers, then save_pretrained), or take the token out of that file or out of the text")
  }
}
