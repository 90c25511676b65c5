import NestedLearning
import Protocol

/// What a coordinator does: admit workers, cut units of work into shards, hand them out, take each result once, hand
/// out again what was lost. Pure: the same state, event and time give the same effects.
public struct CoordinatorCore: Sendable {
  public let settings: CoordinatorSettings

  public init(settings: CoordinatorSettings, now: Instant) { self.settings = settings }

  public mutating func step(_ event: CoordinatorEvent, now: Instant) -> [CoordinatorEffect] { [] }
}
