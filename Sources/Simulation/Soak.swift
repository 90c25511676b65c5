import Foundation
import Observability

/// One very long run with faults all along, and what this process's memory does meanwhile.
public struct Soak: Sendable {
  public let outcome: Outcome
  /// Resident bytes after every twentieth of the steps.
  public let sizes: [(step: Int, bytes: Int)]

  /// - Parameter steps: at least 20.
  public init(steps: Int) throws {
    let simulation = try Simulation(Scenario.soak(seed: 26, steps: max(20, steps)))
    var sizes: [(step: Int, bytes: Int)] = []
    simulation.onCommit = { step in
      if step % (max(20, steps) / 20) == 0 { sizes.append((step, ProcessMetrics.residentBytes() ?? 0)) }
    }
    outcome = try simulation.run()
    self.sizes = sizes
  }

  /// By how many bytes the memory has grown since a quarter of the steps, but for the simulated ledger itself, which has
  /// eight bytes a step.
  public var growth: Int {
    guard let last = sizes.last, let first = sizes.first(where: { 4 * $0.step >= last.step }) else {
      return 0
    }
    return last.bytes - first.bytes - 8 * (last.step - first.step)
  }

  public var text: String {
    let faults = outcome.faults.values.reduce(0, +)
    let kibibytes = sizes.map { "\($0.bytes >> 10)" }.joined(separator: " ")
    return
      "\(outcome.steps) steps, \(faults) faults, resident \(kibibytes) KiB; grew by \(growth >> 10) KiB beside the "
      + "ledger since a quarter of the steps"
  }
}
