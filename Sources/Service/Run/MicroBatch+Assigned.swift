import LanguageModel
import WireProtocol

extension MicroBatch {
  package init(_ batch: AssignedMicroBatch) {
    self.init(tokens: batch.tokens, offsets: batch.offsets, labels: batch.labels, rowTasks: batch.rowTasks)
    rowDomains = batch.rowDomains
    adversary = batch.adversary.map { AdversaryTerms(weight: $0.weight, reversal: $0.reversal) }
  }
}
