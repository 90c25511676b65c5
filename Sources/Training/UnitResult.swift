import Coordination
import WireProtocol

/// What counts of a unit, with the bytes that came.
package struct UnitResult: Sendable {
  package let shard: Shard
  /// The step that it belongs to.
  package let step: Int
  package let message: ResultMessage
  /// Who computed it, and what the ledger keeps of it; nil outside of a run.
  package var counted: CountedResult?
}

extension UnitResult {
  package init(_ counted: CountedResult, _ message: ResultMessage) {
    shard = counted.shard
    step = counted.step
    self.message = message
    self.counted = counted
  }
}

extension [UnitResult] {
  /// The same by step, ascending.
  package var bySteps: [(step: Int, results: [UnitResult])] {
    Dictionary(grouping: self, by: \.step).sorted { $0.key < $1.key }.map { ($0.key, $0.value) }
  }
}
