import Coordination
import JSON

/// What a simulated run came to.
public struct Outcome: Sendable {
  public let seed: UInt64
  /// What must not be. Empty: the run is as it should be.
  public var problems: [String] = []
  public var finished = false
  /// How often each fault struck.
  public var faults: [FaultKind: Int] = [:]
  /// What they led to: outcomes of attempts, joins, terms and so on, each with its number.
  public var consequences: [String: Int] = [:]
  public var simulatedSeconds = 0.0
  public var messages = 0
  public var handOuts = 0
  /// Optimizer steps that were applied, replayed ones among them.
  public var steps = 0
  /// SHA-256 of the final state.
  public var digest = ""
  /// Of everything that happened, in its order: two runs with the same fingerprint went the same way.
  public var fingerprint: UInt64 = 0
  /// From the last fault's end to the next commit of a new step, and to the end of the run.
  public var secondsToNextCommit: Double?
  public var secondsToEnd = 0.0
  /// The part of that which even the slowest worker alone does not need for the whole run.
  public var secondsBeyondWork = 0.0
  /// Largest numbers at any time: of things to come, kept results, connections.
  public var peakEvents = 0
  public var peakPayloads = 0
  public var peakRoutes = 0

  init(seed: UInt64) { self.seed = seed }

  public var succeeded: Bool { problems.isEmpty && finished }

  mutating func count(_ kind: FaultKind) { faults[kind, default: 0] += 1 }
  mutating func count(_ consequence: String) { consequences[consequence, default: 0] += 1 }
}

/// The longest of some times, and the seed that it belongs to; of equal ones the lowest.
public struct Longest: Sendable {
  public private(set) var seconds = 0.0
  public private(set) var seed: UInt64 = 0

  mutating func add(_ seconds: Double, seed: UInt64) {
    guard seconds > self.seconds || (seconds == self.seconds && seed < self.seed) else { return }
    (self.seconds, self.seed) = (seconds, seed)
  }

  var text: String { "\(Int(seconds.rounded())) s (seed \(seed))" }
  var json: JSONValue { ["seconds": .number(seconds), "seed": .string(String(seed))] }
}

/// Many runs together.
public struct Summary: Sendable {
  public var runs = 0
  public var failures: [Outcome] = []
  public var faults: [FaultKind: Int] = [:]
  public var consequences: [String: Int] = [:]
  public var simulatedSeconds = 0.0
  public var messages = 0
  public var handOuts = 0
  public var steps = 0
  /// From the last fault to the end of a run, and to the next commit, with the seeds that took longest.
  public var longestToEnd = Longest()
  public var longestToCommit = Longest()
  public var longestBeyondWork = Longest()
  /// Over the runs' fingerprints, whatever the order in which they were added.
  public var fingerprint: UInt64 = 0

  public init() {}

  public mutating func add(_ outcome: Outcome) {
    runs += 1
    if !outcome.succeeded { failures.append(outcome) }
    faults.merge(outcome.faults) { $0 + $1 }
    consequences.merge(outcome.consequences) { $0 + $1 }
    simulatedSeconds += outcome.simulatedSeconds
    messages += outcome.messages
    handOuts += outcome.handOuts
    steps += outcome.steps
    longestToEnd.add(outcome.secondsToEnd, seed: outcome.seed)
    longestBeyondWork.add(outcome.secondsBeyondWork, seed: outcome.seed)
    longestToCommit.add(outcome.secondsToNextCommit ?? 0, seed: outcome.seed)
    fingerprint ^= SplitMix64.mix(outcome.fingerprint &+ outcome.seed)
  }

  public mutating func merge(_ other: Summary) {
    runs += other.runs
    failures += other.failures
    failures.sort { $0.seed < $1.seed }
    faults.merge(other.faults) { $0 + $1 }
    consequences.merge(other.consequences) { $0 + $1 }
    simulatedSeconds += other.simulatedSeconds
    messages += other.messages
    handOuts += other.handOuts
    steps += other.steps
    longestToEnd.add(other.longestToEnd.seconds, seed: other.longestToEnd.seed)
    longestBeyondWork.add(other.longestBeyondWork.seconds, seed: other.longestBeyondWork.seed)
    longestToCommit.add(other.longestToCommit.seconds, seed: other.longestToCommit.seed)
    fingerprint ^= other.fingerprint
  }

  /// How many faults struck in all.
  public var faultCount: Int { faults.values.reduce(0, +) }

  /// - Parameter seconds: what the runs took.
  public func json(seconds: Double) -> JSONValue {
    func counts(_ counts: some Sequence<(String, Int)>) -> JSONValue {
      .object(JSONObject(counts.map { .init(key: $0.0, value: .number($0.1)) }))
    }
    let failures = failures.map { outcome -> JSONValue in
      ["seed": .string(String(outcome.seed)), "problems": .array(outcome.problems.map { .string($0) })]
    }
    return [
      "runs": .number(runs), "seconds": .number(seconds), "failures": .array(failures),
      "fault_count": .number(faultCount),
      "faults": counts(faults.sorted { $0.key < $1.key }.map { ($0.key.rawValue, $0.value) }),
      "consequences": counts(consequences.sorted { $0.key < $1.key }.map { ($0.key, $0.value) }),
      "simulated_seconds": .number(simulatedSeconds), "messages": .number(messages),
      "hand_outs": .number(handOuts), "steps": .number(steps),
      "longest_to_commit": longestToCommit.json, "longest_to_end": longestToEnd.json,
      "longest_beyond_work": longestBeyondWork.json,
      "fingerprint": .string(String(fingerprint, radix: 16)),
    ]
  }
}

extension Scenario {
  /// What is out of the ordinary in a run, for the report.
  func countFeatures(_ outcome: inout Outcome) {
    let config = problem.config
    if config.gradientAccumulationSteps >= 64 { outcome.count("runs of 64 micro-batches") }
    if workers.count >= 200 { outcome.count("runs with 200 workers") }
    if problems.count > 1 { outcome.count("fleets of \(problems.count) runs") }
    if problems.count > parallelRuns { outcome.count("fleets with a queue") }
    if !keys.isEmpty { outcome.count("fleets with keys") }
    if workers.contains(where: \.fetchesModels) { outcome.count("fleets with models to fetch") }
    if hasHostileHellos { outcome.count("fleets with hostile HELLOs") }
    if config.lossEvery > 1 { outcome.count("runs with loss_every") }
    if config.tierPhase != .aligned { outcome.count("runs with phases") }
  }
}

extension Outcome {
  /// A few lines for people.
  public var text: String {
    var lines = [
      "seed \(seed): \(succeeded ? "the right state" : "FAILED") after \(Int(simulatedSeconds)) simulated s"
    ]
    lines += problems
    lines.append("faults: \(Summary.list(faults.map { ($0.key.rawValue, $0.value) }))")
    lines.append("led to: \(Summary.list(consequences.map { ($0.key, $0.value) }))")
    lines.append("state: \(digest)")
    lines.append("fingerprint: \(String(fingerprint, radix: 16))")
    return lines.joined(separator: "\n")
  }
}

extension Summary {
  /// A table for people.
  ///
  /// - Parameter seconds: what the runs took.
  public func text(seconds: Double) -> String {
    var lines = [
      "\(runs) runs in \(Int(seconds)) s, \(Int(simulatedSeconds)) simulated s: \(steps) steps, \(handOuts) hand-outs, "
        + "\(messages) messages",
      "\(faultCount) faults: \(Self.list(faults.map { ($0.key.rawValue, $0.value) }))",
      "led to: \(Self.list(consequences.map { ($0.key, $0.value) }))",
      "longest time from the last fault to the next commit: \(longestToCommit.text), to the end of a run: "
        + longestToEnd.text,
      "longest of these beyond what the run takes on its slowest worker alone: \(longestBeyondWork.text)",
      "fingerprint: \(String(fingerprint, radix: 16))",
    ]
    for outcome in failures.prefix(100) {
      lines.append("FAILED: seed \(outcome.seed): \(outcome.problems.first ?? "not finished")")
    }
    lines.append(
      failures.isEmpty
        ? "every run came to the right state"
        : "\(failures.count) runs failed; see one with nl-tool simulate --trace SEED")
    return lines.joined(separator: "\n")
  }

  static func list(_ counts: [(String, Int)]) -> String {
    counts.sorted { $0.0 < $1.0 }.map { "\($0.0) \($0.1)" }.joined(separator: ", ")
  }
}
