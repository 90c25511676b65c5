import Tensors

extension TrainableModel {
  /// Scores the prediction of every trained token of a batch, without dropout.
  ///
  /// The sum of the losses is that of ``evaluate(_:)`` to the bit.
  ///
  /// - Parameter base: a model that the distributions are compared with, such as this one without its adapter.
  /// - Throws: `BatchError` if the batch has tokens that are in no vocabulary, the base's included.
  public func scores(_ batch: MicroBatch, against base: TrainableModel? = nil) throws -> TokenScores {
    try batch.check(vocabulary: configuration.vocabularySize, domains: domains)
    if let base { try MicroBatch.check(batch.tokens, vocabulary: base.configuration.vocabularySize) }
    let places = batch.trainedPlaces
    guard !places.isEmpty else { return TokenScores() }
    return try tape.scores(
      head(batch, places), base: base.map { try $0.head(batch, places) },
      labels: places.map { batch.labels[Int($0)] })
  }

  /// The cross entropy of every trained token of a batch, in their order, in nats.
  ///
  /// - Throws: `BatchError` if the batch has tokens that are in no vocabulary.
  public func tokenLosses(_ batch: MicroBatch) throws -> [Float] {
    try scores(batch).losses.map { Float($0) }
  }

  private func head(_ batch: MicroBatch, _ places: [Int32]) throws(TensorError) -> Tape.Head {
    let pass = try ForwardPass(
      tape: tape, offsets: batch.offsets, rope: rope, tokenDomains: tokenDomains(batch))
    let hidden = try transformer.hidden(batch.tokens, pass)
    return (try transformer.normed(hidden, places: places, pass), transformer.head.matrix)
  }
}

extension TrainableModel {
  /// - Throws: `BatchError` that names a token that is not in the vocabulary.
  public func check(_ tokens: [Int32]) throws(BatchError) {
    try MicroBatch.check(tokens, vocabulary: configuration.vocabularySize)
  }
}
