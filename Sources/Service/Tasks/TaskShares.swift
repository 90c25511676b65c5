import Training
import WireProtocol

/// What the labels of a step's tasks weigh, so that each task counts alike, however many labels it has: with N labels of
/// the step, N_i of them of task i, and its weight w_i, c = w_i·N/N_i. The gradient of (1/N)·Σ c·ℓ is that of Σ w_i·L_i.
struct TaskShares {
  private let batches: [AssignedMicroBatch]

  init(of batches: [AssignedMicroBatch]) { self.batches = batches }

  /// The same with c of each row's task as its weight, for w_i = 1.
  func weighted() -> [AssignedMicroBatch] {
    var counts: [Int32: Int] = [:]
    for batch in batches {
      for (row, task) in batch.rowTasks.enumerated() {
        let places = batch.labels[Int(batch.offsets[row])..<Int(batch.offsets[row + 1])]
        counts[task, default: 0] += places.count { $0 != -100 }
      }
    }
    let all = Double(counts.values.reduce(0, +))
    let factors = counts.mapValues { $0 > 0 ? Float(all / Double($0)) : 0 }
    return batches.map { batch in
      var batch = batch
      batch.rowWeights = batch.rowTasks.map { factors[$0] ?? 0 }
      return batch
    }
  }
}
