import Coordination
import WireProtocol

/// What workers sent and the scheduler said to keep, by attempt, until its unit is complete; without their bytes, if those go
/// into sums at once.
package struct KeptResults {
  private var messages: [Int: ResultMessage] = [:]

  package init() {}

  package var count: Int { messages.count }

  /// - Returns: whether nothing was kept of this attempt before
  @discardableResult package mutating func keep(
    _ message: ResultMessage, attempt: Int, of unit: WorkUnit
  ) -> Bool {
    messages.updateValue(unit.isSummedAsItComes ? message.withoutBytes : message, forKey: attempt) == nil
  }

  package mutating func discard(_ attempt: Int) { messages[attempt] = nil }

  /// The results of a unit, each (node, tiers) once. Nothing is kept after it: `leftOver` is how much else there was.
  package mutating func take(for unit: CompletedUnit) -> (results: [UnitResult], leftOver: Int) {
    defer { messages = [:] }
    let results = unit.results.compactMap { counted in
      messages.removeValue(forKey: counted.attempt).map { UnitResult(counted, $0) }
    }
    return (results, messages.count)
  }
}
