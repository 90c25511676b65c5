import Foundation
import Harness
import JSON
import Synchronization

/// What a run without faults comes to: one worker, one thread, nothing disturbed.
struct Reference: Sendable {
  let steps: Int
  let adapter: String
  let state: String
  let evaluations: [JSONValue]

  private static let known = Mutex<[String: Reference]>([:])

  /// The run of a config without faults; computed once for each.
  static func of(_ changes: [String: JSONValue]) throws -> Reference {
    let key = changes.sorted { $0.key < $1.key }.map { "\($0.key) \($0.value.text)" }.joined(separator: "\n")
    if let known = known.withLock({ $0[key] }) { return known }
    let reference = try Reference(changes)
    known.withLock { $0[key] = reference }
    return reference
  }

  private init(_ changes: [String: JSONValue]) throws {
    let run = try TrainingRun(changes)
    try run.train(["--local-workers", "1", "--threads-per-worker", "1"])
    steps = try run.metrics().count
    adapter = try run.adapterHash()
    state = try run.stateDigest()
    evaluations = try rows(run.file("metrics/eval_metrics.jsonl"))
  }

  /// In what a run differs from this one; empty if every bit is the same and every step was applied once.
  func differences(_ run: TrainingRun) throws -> [String] {
    var differences: [String] = []
    let (adapter, state) = try (run.adapterHash(), run.stateDigest())
    if adapter != self.adapter { differences.append("the adapter is \(adapter), not \(self.adapter)") }
    if state != self.state { differences.append("the state is \(state), not \(self.state)") }
    let found = try run.metrics().map { $0["step"]?.int }
    if found != Array(1...steps) { differences.append("the metrics have the steps \(found)") }
    if try rows(run.file("metrics/eval_metrics.jsonl")) != evaluations {
      differences.append("the evaluations differ")
    }
    return differences
  }
}
