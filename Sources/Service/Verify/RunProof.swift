import Foundation
import JSON

/// What came of computing steps of a run again.
public struct RunProof: Sendable {
  /// Steps from one kept snapshot on.
  public struct Stretch: Sendable {
    public let steps: ClosedRange<Int>
    /// How many of them are proved, from the first on.
    public internal(set) var proved = 0
    /// Of the first step that is wrong; none if all are proved.
    public internal(set) var faults: [StepFault] = []

    init(steps: ClosedRange<Int>) { self.steps = steps }
  }

  public let folder: String
  public internal(set) var stretches: [Stretch] = []
  /// Snapshots that cannot be read, so that nothing begins from them.
  public let damagedSnapshots: [Int]
  public internal(set) var computedSteps = 0
  /// Evaluations that steps follow.
  public internal(set) var computedEvaluations = 0
  public internal(set) var seconds = 0.0
  /// How long the run itself took for the same steps.
  public internal(set) var recordedSeconds = 0.0

  init(folder: String, damagedSnapshots: [Int]) {
    self.folder = folder
    self.damagedSnapshots = damagedSnapshots
  }

  public var isProved: Bool { stretches.allSatisfy(\.faults.isEmpty) }
  public var faults: [StepFault] { stretches.flatMap(\.faults) }

  /// For people.
  public var text: String {
    var lines = damagedSnapshots.map { "The snapshot of step \($0) cannot be read; nothing begins from it" }
    var proved: ClosedRange<Int>?
    for stretch in stretches {
      if stretch.proved > 0 {
        let steps = stretch.steps.lowerBound...(stretch.steps.lowerBound + stretch.proved - 1)
        if let before = proved, before.upperBound + 1 == steps.lowerBound {
          proved = before.lowerBound...steps.upperBound
        } else {
          if let proved { lines.append("\(Self.name(proved)): proved") }
          proved = steps
        }
      }
      guard let fault = stretch.faults.first else { continue }
      if let proved { lines.append("\(Self.name(proved)): proved") }
      proved = nil
      lines.append(
        (fault.direction == .evaluation ? "Evaluation after step" : "Step") + " \(fault.step): wrong")
      lines += stretch.faults.map { "  \($0.text)" }
      if fault.step < stretch.steps.upperBound {
        let rest = (fault.step + 1)...stretch.steps.upperBound
        lines.append("\(Self.name(rest)): unprovable, as they may begin from what is wrong")
      }
    }
    if let proved { lines.append("\(Self.name(proved)): proved") }
    lines.append(time)
    return lines.joined(separator: "\n")
  }

  private var time: String {
    let seconds = ProgressLine.duration(seconds)
    let recorded = ProgressLine.duration(recordedSeconds)
    return
      "Computed \(computedSteps) step\(computedSteps == 1 ? "" : "s") again in \(seconds); the run took \(recorded) for \(computedSteps == 1 ? "it" : "them")"
  }

  private static func name(_ steps: ClosedRange<Int>) -> String {
    steps.count == 1 ? "Step \(steps.lowerBound)" : "Steps \(steps.lowerBound) to \(steps.upperBound)"
  }

  public var json: JSONValue {
    [
      "proved": .bool(isProved),
      "stretches": .array(
        stretches.map { stretch in
          [
            "first_step": .number(stretch.steps.lowerBound), "last_step": .number(stretch.steps.upperBound),
            "proved_steps": .number(stretch.proved), "faults": .array(stretch.faults.map(\.json)),
          ]
        }),
      "damaged_snapshots": .numbers(damagedSnapshots), "computed_steps": .number(computedSteps),
      "computed_evaluations": .number(computedEvaluations),
      "seconds": .number(seconds), "run_seconds": .number(recordedSeconds),
    ]
  }
}
