import NestedLearning
import Testing

@testable import Coordination
@testable import Training

/// What a curriculum follows: how many tokens of an evaluation were right is asked for, written down, and taken from the
/// record where steps are computed again.
@Suite struct AccuracyTests {
  private func scene(_ strategy: CurriculumKind = .stages) throws -> RunScene {
    try RunScene {
      $0.evalEvery = 1
      $0.curriculumStrategy = strategy
    }
  }

  private let right = EvaluatedAccuracy(step: 1, correct: 3, tokens: 4)

  /// Computes the open evaluation: of four tokens three are right.
  private func evaluate(_ scene: inout RunScene) throws -> [String] {
    let unit = try #require(scene.unit)
    let done = CompletedUnit(
      unit: unit, lossSum: 8, tokens: 4, correct: unit.wantsAccuracy ? 3 : nil, results: [])
    return scene.at(2, .unitComplete(done, []))
  }

  @Test(arguments: [CurriculumKind.stages, .competence, .progressive, .none])
  func theyAreAskedForWhereTheyCount(strategy: CurriculumKind) throws {
    var scene = try scene(strategy)
    scene.begin()
    #expect(scene.unit?.wantsAccuracy == false, "of a step")
    #expect(try scene.step(1).last == "open the evaluation after step 1, tiers []")
    #expect(scene.unit?.wantsAccuracy == strategy.followsEvaluations)
    #expect(try evaluate(&scene) == ["write: recording the evaluation after step 1"])
    #expect(scene.run.progress.followed.accuracies.isEmpty, "nothing counts before it is on the disk")
    _ = scene.written(2)
    let expected = strategy.followsEvaluations ? [right] : []
    #expect(
      scene.run.progress.followed.accuracies == expected && scene.run.batches.followed.accuracies == expected)
  }

  private func restored(_ scene: inout RunScene, _ accuracies: [EvaluatedAccuracy]) throws {
    _ = scene.at(
      0,
      .restored(
        RestoredRun(
          progress: RunProgress(), tiers: scene.engine.tierValues(), lastStep: 2, evaluations: [1: 2],
          accuracies: accuracies, toUndo: [])))
    _ = scene.written(0)
    _ = scene.computed(1)
    _ = try scene.apply(1)
  }

  /// The rows of step 2 are those that were taken the first time.
  @Test func aReplayFollowsTheRecord() throws {
    var scene = try scene()
    try restored(&scene, [right])
    #expect(scene.written(1).last == "write: writing the checkpoint best")
    #expect(
      scene.run.progress.followed.accuracies == [right] && scene.run.batches.followed.accuracies == [right])
  }

  /// A record without them does not do: the evaluation is made again.
  @Test func aRecordWithoutThem() throws {
    var scene = try scene()
    try restored(&scene, [])
    #expect(scene.written(1).last == "open the evaluation after step 1, tiers []")
    #expect(scene.run.progress.followed.accuracies.isEmpty)
  }

  /// Back at an earlier state, what came after it is not followed any more.
  @Test func goingBack() throws {
    var scene = try scene()
    scene.begin()
    _ = try scene.step(1)
    _ = try evaluate(&scene)
    _ = scene.written(2)
    #expect(scene.run.batches.followed.accuracies == [right])
    _ = scene.restored(3)
    #expect(scene.run.progress.followed.accuracies.isEmpty && scene.run.batches.followed.accuracies.isEmpty)
  }
}
