import LanguageModel
import WireProtocol

extension MicroBatch {
  package init(_ batch: AssignedMicroBatch) {
    self.init(tokens: batch.tokens, offsets: batch.offsets, labels: batch.labels, rowTasks: batch.rowTasks)
  }
}
