import Foundation
import Harness
import JSON
import Testing

/// The fault matrix by real processes: a test named after each row makes its faults, and holds the run to the hashes
/// of the same run without faults. `cluster/testbed/run.sh` runs them and prints the table.
@Suite(.serialized) struct FaultMatrix {
  /// All that a row can do, or what is quick: set by `cluster/testbed/run.sh`.
  static let isFull = ProcessInfo.processInfo.environment["NL_MATRIX"] == "full"

  /// A seed for a row's random choices: random and printed; `NL_MATRIX_SEED` repeats them.
  static func seed() -> UInt64 {
    let seed =
      ProcessInfo.processInfo.environment["NL_MATRIX_SEED"].flatMap(UInt64.init)
      ?? UInt64.random(in: 0...UInt64.max)
    print("NL_MATRIX_SEED=\(seed)")
    return seed
  }
}

/// What a row of the matrix found: printed at its end, and, for the table, added to the file that `NL_MATRIX_REPORT`
/// names.
final class Findings {
  private let row: Int
  private let fault: String
  /// The name of the test function.
  private let test: String
  private let begun = Date()
  private var injected = 0
  private var recovery: Double?
  private var hashes: [Bool] = []
  private var notes: [String] = []
  private var failures: [String] = []

  init(row: Int, fault: String, test: String) {
    self.row = row
    self.fault = fault
    self.test = test
  }

  func inject(_ count: Int = 1) { injected += count }

  /// A time to recover, in seconds; the longest is shown.
  func recovered(_ what: String, seconds: Double, limit: Double?, location: SourceLocation = #_sourceLocation)
  {
    recovery = max(recovery ?? 0, seconds)
    note("\(what) after \(String(format: "%.2f", seconds)) s" + (limit.map { " (limit \($0) s)" } ?? ""))
    if let limit { expect(seconds <= limit, "\(what): \(seconds) s, the limit is \(limit) s", location) }
  }

  func note(_ text: String) { notes.append(text) }

  /// A condition of the row's.
  func expect(
    _ condition: Bool, _ comment: @autoclosure () -> String, _ location: SourceLocation = #_sourceLocation
  ) {
    guard !condition else { return }
    let text = comment()
    failures.append(text)
    Issue.record("row \(row): \(text)", sourceLocation: location)
  }

  /// The universal criterion.
  func expectSame(
    _ run: TrainingRun, as reference: Reference, _ comment: String = "",
    location: SourceLocation = #_sourceLocation
  ) throws {
    let differences = try reference.differences(run)
    hashes.append(differences.isEmpty)
    expect(differences.isEmpty, "\(comment) \(differences.joined(separator: "; "))", location)
  }

  fileprivate func finish(error: (any Error)?) {
    if let error { failures.append("\(error)") }
    let same = hashes.isEmpty ? nil : hashes.allSatisfy { $0 }
    let line = JSONValue.object([
      "row": .number(row), "test": .string(test), "fault": .string(fault), "injected": .number(injected),
      "recovery_seconds": recovery.map { .number($0) } ?? .null,
      "hash_equal": same.map { .bool($0) } ?? .null, "hashes_compared": .number(hashes.count),
      "seconds": .number(Date().timeIntervalSince(begun)), "passed": .bool(failures.isEmpty),
      "notes": .array(notes.map { .string($0) }), "failures": .array(failures.map { .string($0) }),
    ]).text
    print("MATRIX \(line)")
    guard let path = ProcessInfo.processInfo.environment["NL_MATRIX_REPORT"],
      let file = fopen(path, "a")
    else { return }
    fputs(line + "\n", file)
    fclose(file)
  }
}

extension FaultMatrix {
  /// Carries out a row, and tells what it found even if it could not go on.
  static func row(
    _ number: Int, _ fault: String, test: String = #function, _ body: (Findings) throws -> Void
  ) throws {
    let name = String(test.prefix { $0 != "(" })
    let findings = Findings(row: number, fault: fault, test: name)
    do {
      try body(findings)
      findings.finish(error: nil)
    } catch {
      findings.finish(error: error)
      throw error
    }
  }
}
