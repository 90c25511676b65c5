import Tensors

/// Tells of the mean hidden state of a row which domain it is of: three layers with ReLU between them. Products with them are
/// in f32 in every run.
struct DomainDiscriminator {
  let layers: [(weight: Parameter, bias: Parameter)]

  /// The scores [rows, domains] of pooled states [rows, hidden].
  func scores(_ pooled: Variable, on tape: Tape) throws(TensorError) -> Variable {
    var x = pooled
    for (place, layer) in layers.enumerated() {
      if place > 0 { x = try tape.relu(x) }
      x = try tape.linear(x, Matrix(layer.weight.variable, inF32: true), bias: layer.bias.variable)
    }
    return x
  }
}

/// What the discriminator's part in a step's gradients is.
public struct AdversaryTerms: Sendable, Equatable {
  /// What the cross entropy of each row's domain is multiplied by.
  public var weight: Float
  /// λ: what the transformer receives of its gradient is multiplied by −λ.
  public var reversal: Float

  public init(weight: Float, reversal: Float) { (self.weight, self.reversal) = (weight, reversal) }
}

extension TransformerBuilder {
  /// The discriminator of the specification, zero until it is set; nil without one.
  mutating func discriminator(_ specification: LoRASpecification) throws -> DomainDiscriminator? {
    guard let domains = specification.domains, domains.hasDiscriminator else { return nil }
    var parts: [String: Parameter] = [:]
    for tensor in domains.tensors(of: loader.folder.configuration)
    where Domains.isOfDiscriminator(tensor.name) {
      parts[tensor.name] = try fresh(tensor.name, tensor.shape)
    }
    return DomainDiscriminator(
      layers: (0...Domains.discriminatorWidths.count).compactMap { place in
        let name = "\(Domains.discriminatorPrefix)\(place)"
        guard let weight = parts[name + ".weight"], let bias = parts[name + ".bias"] else { return nil }
        return (weight, bias)
      })
  }
}

extension TrainableModel {
  /// Puts on the tape how well the domains of a batch's rows are told, whose gradient goes into the transformer reversed.
  ///
  /// - Parameter hidden: hidden states after the last layer, [T, hidden].
  /// - Returns: what the rows come to, and the objective's share; nil where there is no adversary.
  func domainLoss(
    _ batch: MicroBatch, _ hidden: Variable, _ pass: ForwardPass
  ) throws -> (loss: TaskLoss, objective: Double)? {
    guard let discriminator, let terms = batch.adversary, batch.rowCount > 0 else { return nil }
    let states = try transformer.normed(hidden, places: batch.tokens.indices.map(Int32.init), pass)
    let pooled = try tape.meanOfRows(states, offsets: batch.offsets, gradientTimes: -terms.reversal)
    let scores = try discriminator.scores(pooled, on: tape)
    var loss = TaskLoss()
    loss.places = batch.rowCount
    loss.correct = zip(batch.rowDomains, likeliest(scores.tensor)).count { Int($0) == $1 }
    var objective = 0.0
    for own in try tape.crossEntropy(
      scores, labels: batch.rowDomains, factors: batch.rowDomains.map { _ in terms.weight })
    {
      loss.loss += own
      objective += Double(terms.weight) * own
    }
    return (loss, objective)
  }

  /// The mean hidden state of each row after the last norm, [rows, hidden], without dropout.
  ///
  /// - Throws: `BatchError` if the batch has tokens that are in no vocabulary, or a row without tokens.
  public func pooledStates(_ batch: MicroBatch) throws -> HostTensor {
    try batch.check(vocabulary: configuration.vocabularySize, heads: tasks.heads, domains: domains)
    guard zip(batch.offsets, batch.offsets.dropFirst()).allSatisfy({ $0 < $1 }) else {
      throw BatchError("a row has no tokens, so that there is nothing to tell of it")
    }
    let pass = try trainingPass(batch, dropout: nil)
    let states = try transformer.normed(
      transformer.hidden(batch.tokens, pass), places: batch.tokens.indices.map(Int32.init), pass)
    let pooled = try tape.meanOfRows(states, offsets: batch.offsets)
    return HostTensor(shape: pooled.shape, values: pooled.tensor.values)
  }
}
