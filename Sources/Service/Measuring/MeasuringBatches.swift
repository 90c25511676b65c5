import Dataset
import LanguageModel
import Training
import WireProtocol

/// The rows that a measurement looks at, in file order: a step has the next micro-batches, the last one what is left.
struct MeasuringBatches: BatchSource {
  private let batches: EvaluationBatches
  private let perStep: Int

  init(rows: RowSet, batchSize: Int, perStep: Int) {
    batches = EvaluationBatches(rows: rows, batchSize: batchSize, packLength: nil)
    self.perStep = perStep
  }

  var steps: Int { max(1, (batches.count + perStep - 1) / perStep) }

  func microBatches(step: Int) -> [AssignedMicroBatch] {
    let first = min((step - 1) * perStep, batches.count)
    return (first..<min(first + perStep, batches.count)).enumerated().map { number, batch in
      AssignedMicroBatch(number: number, batches[batch])
    }
  }

  func evaluationTokens() -> [Int] { [] }

  func evaluationBatch(_ number: Int) -> AssignedMicroBatch {
    AssignedMicroBatch(number: number, tokens: [], offsets: [0], labels: [])
  }
}
