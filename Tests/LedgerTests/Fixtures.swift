import Foundation
import GRDB
import JSON
import Ledger

/// A folder that is gone with the object.
final class TemporaryFolder {
  let path: String

  init() throws {
    path = NSTemporaryDirectory() + "nl-ledger-\(UUID().uuidString)"
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: true)
  }

  deinit { try? FileManager.default.removeItem(atPath: path) }

  func file(_ name: String) -> String { path + "/" + name }
}

let noon = Timestamp(milliseconds: 1_700_000_000_123)

let demoRun = RunRecord(
  experimentName: "demo", baseModelPath: "/models/tiny",
  configuration: ["num_steps": 4, "learning_rate": 1e-5],
  program: "nl-coord 0.1", createdAt: noon)

func step(_ number: Int, loss: Double = 2.5) -> StepRecord {
  StepRecord(
    step: number, loss: loss, tokens: 128, learningRate: 1e-5, gradNorm: 0.75, activeTiers: [0, 1],
    digest: "digest \(number)", seconds: 0.25, committedAt: noon,
    metrics: ["step": .number(number), "loss": .number(loss)])
}

func tier(_ index: Int, version: Int) -> TierVersionRecord {
  TierVersionRecord(
    tier: index, frequency: 1 << index, parameterCount: 1000 + index, version: version,
    digest: "tier \(index) version \(version)")
}

func worker(_ id: Int, term: UInt64) -> WorkerRecord {
  WorkerRecord(
    term: term, id: id, host: "alpha", pid: 4711, threads: 2, isa: "avx2", numericProfile: "f32-1",
    program: "nl-worker 0.1", isLocal: id == 1, joinedAt: noon)
}

func handOut(
  _ attempt: Int, term: UInt64, step: Int = 1, worker: Int = 1, outcome: String = "committed"
) -> AssignmentRow {
  AssignmentRow(
    term: term, attempt: attempt, purpose: "train", step: step, firstMicroBatch: 0, lastMicroBatch: 3,
    tiers: [0, 2], worker: worker, handedOutAt: noon, finishedAt: noon.advanced(bySeconds: 1.5), seconds: 1.5,
    outcome: outcome)
}

/// A ledger in its first term, with one worker.
func workingLedger(in folder: TemporaryFolder) throws -> Ledger {
  let ledger = try Ledger.create(at: folder.file("state.sqlite"), run: demoRun)
  let term = try ledger.beginTerm()
  try ledger.record(worker: worker(1, term: term))
  return ledger
}

/// Writes the rows of a long run of one worker and term 1 at once: each step with `shards` hand-outs of 0.5 s, of which
/// the first was lost, the second's result is unverified, and those of the others are verified.
func longRun(_ db: Database, steps: Int, shards: Int = 0) throws {
  try db.execute(
    sql: """
      WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :steps)
      INSERT INTO steps SELECT i, 2.5, 128, 1e-5, 0.75, '[0]', 'digest ' || i, 0.25, 1, :time,
        json_object('step', i, 'step_time', 0.25) FROM n
      """,
    arguments: ["steps": steps, "time": noon.text])
  guard shards > 0 else { return }
  try db.execute(
    sql: """
      WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < :count - 1)
      INSERT INTO assignments SELECT 1, 1000 + i, 'train', i / :shards + 1, 0, 0, '[0]', 1, :time, :time, 0.5,
        iif(i % :shards = 0, 'lost', 'committed'), i % :shards > 1 FROM n
      """,
    arguments: ["count": steps * shards, "shards": shards, "time": noon.text])
}
