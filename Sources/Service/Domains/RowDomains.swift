import Dataset
import LanguageModel
import NestedLearning
import Training
import WireProtocol

/// Which domain each row of a run's data is of, by its number among the run's domains, and what of a step depends on that.
struct RowDomains: Sendable {
  private let train: [UInt8]
  private let validation: [UInt8]
  private let reversal: GradientReversal?

  /// - Returns: nil where nothing depends on domains.
  /// - Throws: `DataError` with file and line for a row that names none of the run's.
  init?(of data: TrainingData, _ domains: Domains?, config: NestedLearningConfig) throws {
    guard let domains else { return nil }
    train = try RowField.domains(of: data.train, domains)
    // Without norms that differ an evaluation does not depend on them.
    validation = domains.norms == .none ? [] : try RowField.domains(of: data.validation, domains)
    reversal = GradientReversal(config)
  }

  /// The micro-batches of a step with the domains of their rows. With R rows of the step and N trained tokens, each row's
  /// cross entropy weighs max(1, N)/R, so that the gradient, divided by N as all is, is that of the mean over rows.
  ///
  /// - Parameter numbers: of the rows of each micro-batch.
  func marked(_ batches: [AssignedMicroBatch], rows numbers: [[Int]], step: Int) -> [AssignedMicroBatch] {
    let rows = numbers.reduce(0) { $0 + $1.count }
    let tokens = batches.reduce(0) { $0 + $1.trainedTokens }
    let adversary = reversal.map {
      AdversaryFactors(
        weight: Float(Double(max(1, tokens)) / Double(max(1, rows))), reversal: Float($0.lambda(at: step)))
    }
    return zip(batches, numbers).map { batch, numbers in
      var batch = batch
      batch.rowDomains = numbers.map { Int32(train[$0]) }
      batch.adversary = adversary
      return batch
    }
  }

  /// The micro-batches of evaluations with the domains of their rows.
  func marked(_ batches: EvaluationBatches) -> EvaluationBatches {
    var batches = batches
    batches.domains = validation
    return batches
  }
}
