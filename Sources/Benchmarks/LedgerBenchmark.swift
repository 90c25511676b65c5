import Coordination
import Files
import Foundation
import JSON
import Ledger
import Service

/// How fast steps become durable: commits of the real ledger as a run makes them, beside plain writes of as many bytes
/// that are synced one by one, in the same folder.
public struct LedgerBenchmark: Sendable {
  /// Where files are made, in a folder of their own; its disk is measured.
  public var folder: String
  /// Commits that are measured.
  public var steps: Int
  /// Hand-outs that are recorded with each step.
  public var workers = 4
  /// Tiers of the run; every second one changes in a step.
  public var tiers = 3

  /// Commits that are not counted: the first ones make the database's files.
  private static let warmUpSteps = 5

  public init(folder: String, steps: Int) {
    self.folder = folder
    self.steps = steps
  }

  /// - Returns: `commits_per_second`, the median and the 99th percentile of a commit in seconds, bytes that a commit
  ///   gives to the system (the mean; now and then one also moves the write-ahead log into the database), and `limit`:
  ///   the same of plain writes with fsync, and what fraction of such writes a second there are commits.
  /// - Throws: `LedgerError` or `FileError` if the folder cannot be written to.
  public func run() throws -> JSONValue {
    let interruption = Interruption()
    let scratch = try ScratchFolder(in: folder)
    defer { scratch.remove() }
    let (commits, bytes) = try commit(in: scratch.path, interruption)
    let plain = try PlainWrites(path: scratch.path + "/plain", bytes: bytes / max(1, commits.count))
      .measure(count: steps, interruption)
    return [
      "folder": .string(folder), "steps": .number(steps), "workers": .number(workers),
      "commits_per_second": .number(Double(commits.count) / commits.sum),
      "median_seconds": .number(commits.median), "p99_seconds": .number(commits.percentile(0.99)),
      "worst_seconds": .number(commits.worst), "bytes_written": .number(bytes),
      "bytes_per_commit": .number(Double(bytes) / Double(max(1, commits.count))),
      "limit": [
        "writes_per_second": .number(Double(plain.count) / plain.sum),
        "median_seconds": .number(plain.median), "p99_seconds": .number(plain.percentile(0.99)),
        "fraction": .number(plain.sum / Double(plain.count) / (commits.sum / Double(commits.count))),
      ],
    ]
  }

  /// The time of each commit, and the bytes that all of them have written.
  private func commit(in folder: String, _ interruption: Interruption) throws -> (Durations, Int) {
    let ledger = try Ledger.create(at: folder + "/state.sqlite", run: runRecord)
    defer { try? ledger.close() }
    let term = try ledger.beginTerm()
    try ledger.record(tiers: (0..<tiers).map { tier($0, version: 0) })
    try ledger.record(assignments: [], notes: (0..<workers).map { .joined(worker($0, term: term)) })
    var times: [Double] = []
    var written = 0
    for step in 1...max(1, Self.warmUpSteps + steps) {
      try interruption.check()
      let (record, changed) = (self.step(step), (0..<tiers).filter { $0 % 2 == step % 2 })
      let assignments = (0..<workers).map { assignment($0, step: step, term: term) }
      let (bytesBefore, begin) = (ProcessUsage.ownWrittenBytes() ?? 0, MonotonicClock.now())
      // As a coordinator does, which may be replaying.
      guard try ledger.step(step) == nil else { throw ServiceError("a new ledger has step \(step)") }
      try ledger.commit(record, tiers: changed.map { tier($0, version: step) }, assignments: assignments)
      guard step > Self.warmUpSteps else { continue }
      times.append(MonotonicClock.now().seconds(since: begin))
      written += (ProcessUsage.ownWrittenBytes() ?? 0) - bytesBefore
    }
    return (Durations(times), written)
  }
}

// MARK: - What is recorded

extension LedgerBenchmark {
  private static let digest = String(repeating: "0123456789abcdef", count: 4)

  private var runRecord: RunRecord {
    RunRecord(experimentName: "bench", baseModelPath: folder, configuration: [:], program: Program.version)
  }

  private func tier(_ tier: Int, version: Int) -> TierVersionRecord {
    TierVersionRecord(
      tier: tier, frequency: 1 << tier, parameterCount: 1 << 20, version: version, digest: Self.digest)
  }

  private func worker(_ number: Int, term: UInt64) -> WorkerRecord {
    WorkerRecord(
      term: term, id: number + 1, host: "worker-\(number)", pid: 1000 + number, threads: 8, isa: "avx512",
      numericProfile: NumericProfile.name(of: .f32), program: Program.version, isLocal: false)
  }

  private func assignment(_ number: Int, step: Int, term: UInt64) -> AssignmentRow {
    AssignmentRow(
      term: term, attempt: (step - 1) * workers + number + 1, purpose: "train", step: step,
      firstMicroBatch: number, lastMicroBatch: number, tiers: Array(0..<tiers), worker: number + 1,
      handedOutAt: .now(), finishedAt: .now(), seconds: 0.5, outcome: "committed")
  }

  /// With a row of metrics that has the members of a run's, as `RunPlan.metrics` makes them.
  private func step(_ step: Int) -> StepRecord {
    let perTier = JSONValue.numbers((0..<tiers).map { 0.123_456_789 * Double($0 + step) })
    let bytes = JSONValue.numbers((0..<tiers).map { 4_194_304 * ($0 + 1) })
    let statistics = (0..<tiers).map { tier in
      JSONObject.Member(
        key: "tier_\(tier)",
        value: [
          "frequency": .number(1 << tier), "parameters": .number(1 << 20), "updates": .number(step >> tier),
        ])
    }
    let row: JSONValue = [
      "step": .number(step), "loss": .number(2.5 / Double(step)), "learning_rate": 1e-5,
      "tier_learning_rates": perTier, "grad_norm": .number(1.0 / Double(step + 2)),
      "tier_grad_norms": perTier,
      "active_tiers": .numbers(Array(0..<tiers)), "tokens": 2048, "tokens_per_second": 12345.678,
      "step_time": 0.165_888, "snapshot_time": 0.0, "epoch": 1,
      "traffic": [
        "parameters_down": bytes, "chains_down": bytes, "boundary_up": bytes, "flush_up": bytes,
        "other_up": bytes,
      ], "tier_stats": .object(JSONObject(statistics)),
    ]
    return StepRecord(
      step: step, loss: 2.5 / Double(step), tokens: 2048, learningRate: 1e-5, gradNorm: 0.5,
      activeTiers: Array(0..<tiers), digest: Self.digest, seconds: 0.165_888, metrics: row)
  }
}
