import Files
import Harness
import Ledger
import Logging
import NestedLearning
import Testing
import Training

@testable import Service

/// A replay comes past evaluations whose best checkpoints were written before the crash: it writes none in the place of
/// one that is whole and of a later step, and writes anew what is not, or is of steps that are void. Found as seed
/// 91,004,900 of the simulation.
@Suite struct ReplayedCheckpointTests {
  private let folder: RunTestFolder
  private let run: OpenRun

  /// Steps 1 to 4, with the best evaluations after steps 2 and 4; on the record is the checkpoint of the first.
  init() throws {
    folder = try RunTestFolder(inMemory: true)
    let config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    run = try OpenRun(
      folder: RunFolder.create(outputPath: folder.path, run: runRecord("e")), config: config,
      options: RunOptions(), logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() })
    for step in 1...4 {
      try run.ledger.commit(
        StepRecord(
          step: step, loss: 2, tokens: 8, learningRate: 0.1, gradNorm: 1, activeTiers: [], digest: "d\(step)",
          seconds: 1,
          metrics: ["step": .number(step)]),
        tiers: [], assignments: [])
    }
    try evaluate(2)
    try evaluate(4)
    try write(2)
    try run.ledger.record(
      checkpoint: CheckpointRecord(
        path: "checkpoints/best", step: 2, isBest: true, isFinal: false, bestValidationLoss: 2))
  }

  private func evaluate(_ step: Int) throws {
    try run.ledger.record(
      evaluation: EvaluationRecord(
        step: step, loss: 2, perplexity: 7, tokens: 8, isBest: true, seconds: 1,
        metrics: ["step": .number(step)]),
      assignments: [])
  }

  /// Writes the best checkpoint of a step, and no record of it.
  private func write(_ step: Int) throws {
    let metadata = CheckpointMetadata(
      step: step, experimentName: "e", isBest: true, isFinal: false, bestValidationLoss: 2,
      configuration: [:],
      tierStatistics: [:], timestamp: "2026-12-01T00:00:00.000Z")
    _ = try run.checkpoints.write(.best, metadata: metadata) { _ in }
  }

  @Test func theRecordedOneStays() throws {
    #expect(try run.hasCheckpoint(.best, from: 1))
    #expect(try run.hasCheckpoint(.best, from: 2))
    #expect(try !run.hasCheckpoint(.best, from: 4))
  }

  /// The disk failed as the one after step 4 was recorded. It stays until the replay comes to it, and records it.
  @Test func oneAheadOfTheRecordStays() throws {
    try write(4)
    #expect(try run.hasCheckpoint(.best, from: 2))
    #expect(try !run.hasCheckpoint(.best, from: 4))
  }

  /// The run has gone back to before step 4.
  @Test func oneOfVoidStepsIsWrittenAnew() throws {
    try write(4)
    _ = try run.ledger.rollBack(to: 3, identity: "a", firstUnverifiedStep: 4)
    #expect(try !run.hasCheckpoint(.best, from: 2))
  }

  @Test func oneThatCannotBeReadIsWrittenAnew() throws {
    try AtomicFile.write(Array("{".utf8), to: run.folder.checkpointsFolder + "/best/metadata.json")
    #expect(try !run.hasCheckpoint(.best, from: 2))
  }
}
