import Foundation
import Harness
import Testing

/// Rows that are simulated, in a process of their own, since they measure it.
extension FaultMatrix {
  /// Row 26: a simulated run of very many steps with faults all along: the memory does not grow after the warm-up.
  @Test func row26ManySteps() throws {
    let steps = Self.isFull ? 100_000 : 10_000
    try Self.row(26, "soak: \(steps) simulated steps") { findings in
      let result = try Program.tool.run(["simulate", "--soak", "\(steps)"], seconds: 3600)
      findings.note(result.output.trimmingCharacters(in: .newlines))
      findings.expect(result.status == 0, "the run or its memory is wrong: \(result.everything)")
    }
  }
}
