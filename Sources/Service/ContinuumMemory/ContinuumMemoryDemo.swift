import Files
import Foundation
import JSON
import LanguageModel
import Ledger

/// What the demonstration came to, from its run's ledger.
public struct ContinuumMemoryDemo {
  /// A level as the notebook tells of it.
  public struct LevelStatistics: Sendable, Equatable {
    public let name: String
    public let chunkSize: Int
    public let updateCount: Int
    /// ⌊steps/chunk⌋
    public let expectedUpdates: Int
    /// 0 before the first.
    public let lastUpdateStep: Int
    public let stepsSinceUpdate: Int
    public let learningRate: Double
    /// Rows that an update is made of.
    public let effectiveBatch: Int

    public var isAsExpected: Bool { updateCount == expectedUpdates }

    public var text: String {
      "\(name): chunk_size \(chunkSize), update_count \(updateCount), expected_updates \(expectedUpdates), "
        + "last_update_step \(lastUpdateStep), steps_since_update \(stepsSinceUpdate)"
    }
  }

  let plan: ContinuumMemoryPlan
  let steps: [(step: Int, row: JSONValue)]
  public let levels: [LevelStatistics]

  /// - Throws: `LedgerError` if the run's ledger cannot be read.
  public init(_ plan: ContinuumMemoryPlan) throws {
    self.plan = plan
    let ledger = try Ledger.open(at: plan.folder + "/state.sqlite", access: .readOnly)
    var steps: [(step: Int, row: JSONValue)] = []
    try ledger.forEachStep { steps.append(($0, $1)) }
    self.steps = steps
    let last = try ledger.lastStep()
    let versions = try ledger.tiers()
    levels = plan.shape.levels.enumerated().map { number, level in
      let updates = versions.first { $0.tier == number }?.version ?? 0
      return LevelStatistics(
        name: level.name, chunkSize: level.chunk, updateCount: updates, expectedUpdates: last / level.chunk,
        lastUpdateStep: updates * level.chunk, stepsSinceUpdate: last - updates * level.chunk,
        learningRate: plan.config.learningRate / Double(level.chunk),
        effectiveBatch: plan.batch * level.chunk)
    }
  }

  /// Whether every level was updated as often as its chunk says.
  public var isAsExpected: Bool { !steps.isEmpty && levels.allSatisfy(\.isAsExpected) }

  /// For people: a line for each level, and one for the check.
  public var text: String {
    let counts = levels.map { "\($0.updateCount)" }.joined(separator: ", ")
    let expected = levels.map { "\($0.expectedUpdates)" }.joined(separator: ", ")
    return levels.map(\.text).joined(separator: "\n")
      + "\nUpdates \(counts) of \(steps.count) steps: "
      + (isAsExpected ? "as ⌊steps/chunk⌋ says" : "WRONG, it should be \(expected)")
  }

  /// Trains, or goes on with a training that was interrupted; nothing if it is finished.
  public static func train(_ plan: ContinuumMemoryPlan, options: RunOptions) throws {
    try CoordinatorProcess.train(plan, options: options)
  }
}
