import Training
import WireProtocol

/// What texts begin with, a row each, which has one label so that it counts.
struct StartBatches: BatchSource {
  let starts: [[Int32]]
  /// Of a micro-batch.
  let rows: Int
  /// Micro-batches of a step.
  let perStep: Int

  var steps: Int { max(1, (starts.count + rows * perStep - 1) / (rows * perStep)) }

  func microBatches(step: Int) -> [AssignedMicroBatch] {
    let first = (step - 1) * perStep * rows
    return (0..<perStep).compactMap { number in
      let begin = first + number * rows
      guard begin < starts.count else { return nil }
      var batch = AssignedMicroBatch(number: number, tokens: [], offsets: [0], labels: [])
      for start in starts[begin..<min(begin + rows, starts.count)] {
        batch.tokens += start
        batch.labels += Array(repeating: -100, count: start.count - 1) + [0]
        batch.offsets.append(Int32(batch.tokens.count))
      }
      return batch
    }
  }

  func evaluationTokens() -> [Int] { [] }

  func evaluationBatch(_ number: Int) -> AssignedMicroBatch {
    AssignedMicroBatch(number: number, tokens: [], offsets: [0], labels: [])
  }
}
