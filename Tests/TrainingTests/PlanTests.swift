import Harness
import NestedLearning
import Testing

@testable import Coordination
@testable import Training

/// Tier plans that evaluations lead to.
@Suite struct PlanTests {
  private static func stage(_ periods: [Int]?, target: Double = 0.5) -> CurriculumStage {
    CurriculumStage(target: target, frequencies: periods)
  }

  private func scene(_ stages: [CurriculumStage], steps: Int = 8) throws -> RunScene {
    try RunScene {
      ($0.evalEvery, $0.numSteps, $0.curriculumStrategy) = (1, steps, .stages)
      $0.curriculumStages = stages
    }
  }

  private func evaluate(_ scene: inout RunScene, correct: Int = 3) throws -> [String] {
    let unit = try #require(scene.unit)
    let done = CompletedUnit(unit: unit, lossSum: 8, tokens: 4, correct: correct, results: [])
    return scene.at(2, .unitComplete(done, []))
  }

  /// The plan is written with its evaluation, the engine and the fleet are told, and only then the run goes on.
  @Test func aPlanBegins() throws {
    var scene = try scene([Self.stage(nil), Self.stage([1, 3])])
    scene.begin()
    _ = try scene.step(1)
    #expect(try evaluate(&scene) == ["write: recording the evaluation after step 1"])
    guard case .evaluation(let evaluation) = scene.write?.content else {
      throw TrainingError("no evaluation")
    }
    #expect(evaluation.plan?.number == 2 && evaluation.plan?.firstStep == 2)
    #expect(scene.run.plan.number == 1, "nothing counts before it is on the disk")
    let told = scene.written(2)
    #expect(
      told == [
        "acknowledge the evaluation after step 1",
        "adopt plan 2: tier 0 every step, tier 1 every 3 steps after step 2",
      ])
    #expect(scene.run.progress.plan == 2 && scene.run.activity?.doing == "beginning tier plan 2")
    #expect(scene.at(2, .adopted).first == "write: writing the checkpoint best")
    #expect(scene.at(2, .adopted) == [], "nothing waits for it any more")
    #expect(
      (1...9).map(scene.run.plan.activeTiers) == [[0], [0, 1], [0], [0], [0, 1], [0], [0], [0, 1], [0]])
  }

  /// Stages with the same periods are of one plan; so are evaluations that do not reach the target.
  @Test func whatIsNoPlan() throws {
    var scene = try scene([Self.stage(nil), Self.stage([1, 2]), Self.stage([2, 2])])
    scene.begin()
    _ = try scene.step(1)
    _ = try evaluate(&scene, correct: 1)
    #expect(!scene.written(2).contains { $0.hasPrefix("adopt") } && scene.run.plan.number == 1)
  }

  /// A replay takes plans from the evaluations that are recorded, and a state goes on with those of its snapshot.
  @Test func aReplayFollowsTheRecord() throws {
    var scene = try scene([Self.stage(nil), Self.stage([1, 3])])
    let right = EvaluatedAccuracy(step: 1, correct: 3, tokens: 4)
    _ = scene.at(
      0,
      .restored(
        RestoredRun(
          progress: RunProgress(), tiers: scene.engine.tierValues(), lastStep: 2, evaluations: [1: 2],
          accuracies: [right], toUndo: [])))
    _ = scene.written(0)
    _ = scene.computed(1)
    _ = try scene.apply(1)
    #expect(scene.written(1).last == "adopt plan 2: tier 0 every step, tier 1 every 3 steps after step 2")
    #expect(scene.at(1, .adopted).first == "write: writing the checkpoint best")
    let saved = scene.run.progress
    #expect(try RunProgress(json: saved.json) == saved && saved.plan == 2)
    // Back at the start it is plan 1 again.
    _ = scene.restored(3)
    #expect(scene.run.plan.number == 1)
    _ = scene.at(
      4, .restored(RestoredRun(progress: saved, tiers: [], lastStep: 1, evaluations: [:], toUndo: [])))
    #expect(scene.run.plan.number == 2 && scene.run.plan.firstStep == 2)
  }

  /// A snapshot of a plan that its own evaluations do not lead to is of another config.
  @Test func aSnapshotOfAnotherPlan() throws {
    var scene = try scene([Self.stage(nil), Self.stage([1, 3])])
    var progress = RunProgress()
    progress.adopted(plan: 2)
    _ = scene.at(
      0, .restored(RestoredRun(progress: progress, tiers: [], lastStep: 0, evaluations: [:], toUndo: [])))
    guard case .end(.failed(let error)) = scene.write?.content else { throw TrainingError("it goes on") }
    #expect("\(error)".contains("tier plan 2") && "\(error)".contains("plan 1"), "\(error)")
  }

  /// Plans that follow each other: numbers, first steps, and clocks that keep what was.
  @Test func theCourseOfPlans() throws {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    (config.numTiers, config.tierUpdateFrequencies, config.curriculumStrategy) = (2, [1, 4], .stages)
    config.curriculumStages = [
      Self.stage([1, 2]), Self.stage(nil), Self.stage([1, 4]), Self.stage([3, 3]),
    ]
    let scheduler = try ParameterTierScheduler(
      config: config,
      parameters: (0..<2).map { (layer: Int) in
        TrainableParameter(name: "p\(layer)", module: "m\(layer)", layer: layer, count: 1)
      })
    // The first stage's own are those that the run begins with.
    #expect(scheduler.tiers.map(\.frequency) == [1, 2])
    var course = PlanCourse(config: config, scheduler: scheduler)
    let evaluations = (1...5).map { EvaluatedAccuracy(step: 3 * $0, correct: 1, tokens: 1) }
    var seen: [[Int]] = []
    for evaluation in evaluations {
      let begins = course.take(evaluation)
      seen.append([begins ? 1 : 0, course.plan.number, course.plan.firstStep])
    }
    #expect(seen == [[1, 2, 4], [0, 2, 4], [1, 3, 10], [0, 3, 10], [0, 3, 10]])
    // Tier 1: every 2 steps; from 4 on every 4, after the boundary at 4; from 10 on every 3, after that at 12.
    #expect((1...20).filter { course.plan.activeTiers(at: $0).contains(1) } == [2, 4, 8, 12, 15, 18])
    #expect((1...20).filter { course.plan.activeTiers(at: $0).contains(0) } == Array(1...9) + [12, 15, 18])
    let first = PlanCourse(config: config, scheduler: scheduler)
    #expect(first.after(evaluations.prefix(2)).plan.number == 2)
    #expect(first.after(evaluations).plan.scheduler.tiers == course.plan.scheduler.tiers)
  }

  /// Modules move with a plan: who is in which tier is told, and a plan that begins too late for that says so.
  @Test func modulesMove() throws {
    func stages(_ map: [(String, Int)]) -> [CurriculumStage] {
      [
        Self.stage(nil),
        CurriculumStage(
          target: 0.5, tierMap: ManualTierMap(entries: map.map { .init(pattern: $0, tier: $1) })),
      ]
    }
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    (config.numTiers, config.tierUpdateFrequencies, config.curriculumStrategy) = (2, [1, 4], .stages)
    (config.numSteps, config.curriculumStages) = (20, stages([("m1", 1)]))
    let scheduler = try ParameterTierScheduler(
      config: config,
      parameters: (0..<4).map { (layer: Int) in
        TrainableParameter(name: "p\(layer)", module: "m\(layer)", layer: layer, count: 1)
      })
    #expect(scheduler.tiers.map(\.parameters) == [["p0"], ["p1"], ["p2", "p3"]])
    func plan(after step: Int) throws -> TierPlan {
      var course = PlanCourse(config: config, scheduler: scheduler)
      let begins = course.take(EvaluatedAccuracy(step: step, correct: 1, tokens: 1))
      try #require(begins)
      return course.plan
    }
    let moved = try plan(after: 5)
    #expect(moved.movesModules && !moved.movesTooLate)
    #expect((1...20).filter { moved.activeTiers(at: $0).contains(1) } == Array(1...8) + [12, 16, 20])
    let late = try plan(after: 17)
    #expect(!late.movesModules && late.movesTooLate && late.scheduler.tiers == scheduler.tiers)
    #expect(!TierPlan(scheduler: scheduler).movesModules && !TierPlan(scheduler: scheduler).movesTooLate)

    var scene = try scene(stages([("m0", 1), ("m1", 0)]))
    scene.begin()
    _ = try scene.step(1)
    _ = try evaluate(&scene)
    // Periods 1 and 2 of the scene's tiers meet at 2, which is in time.
    #expect(
      scene.written(2) == [
        "acknowledge the evaluation after step 1",
        "adopt plan 2: tier 0 every 2 steps as tier 1 after step 2, tier 1 every step as tier 0 after step 2",
      ])
    #expect((2...8).map(scene.run.plan.activeTiers) == [[0, 1], [1], [0, 1], [1], [0, 1], [1], [0, 1]])
    // Where step 2 is the last it is not.
    scene = try self.scene(stages([("m0", 1), ("m1", 0)]), steps: 2)
    scene.begin()
    _ = try scene.step(1)
    _ = try evaluate(&scene)
    #expect(
      scene.written(2).last
        == "tier plan 2 moves no module: the tiers concerned have no update in common before the last step")
  }

  /// The coordinator's windows, whatever comes of them in which order, come to the bits of the trainer's own, while plans
  /// change at any step; also from snapshots.
  @Test(arguments: [InactiveGradients.mean, .sum])
  func windowsOfChangingPlans(inactive: InactiveGradients) throws {
    var random = WindowStoreTests.random()
    for _ in 0..<20 {
      var own = try WindowedRun(inactive)
      let base = own.state.scheduler
      var (engine, changes): (StepEngine, [PlanChange]) = (StepEngine(state: own.state), [])
      for step in 1...20 {
        if step > 1, Int.random(in: 0..<3, using: &random) == 0 {
          let change = PlanChange(
            firstStep: step, frequencies: (0..<3).map { _ in Int.random(in: 1...5, using: &random) },
            configTiers: Bool.random(using: &random) ? nil : [0, 1, 2].shuffled(using: &random))
          changes.append(change)
          own.follow(change)
          engine.adopt(TierPlan(scheduler: base).followed(by: change))
          #expect(engine.state.scheduler.tiers == own.state.scheduler.tiers)
        }
        let isFlush = Bool.random(using: &random)
        for arrival in own.arrivals(step: step, isFlush: isFlush, &random) {
          try engine.keep([
            WindowStoreTests.result(arrival.message, arrival.node, step: arrival.step)
          ])
        }
        let applied = try engine.apply(
          step: step, losses: StepLosses(task: 1, taskTokens: WindowedRun.tokens(step)), results: [])
        try own.apply(step: step)
        #expect(engine.state.parameters == own.state.parameters)
        #expect(applied.outcome.activeTiers == own.state.scheduler.activeTiers(at: step))
        guard isFlush else { continue }
        let snapshot = try engine.snapshot()
        #expect(snapshot == own.state.snapshot())
        guard Bool.random(using: &random) else { continue }
        var scheduler = base
        for change in changes { scheduler.follow(change) }
        engine = StepEngine(
          state: try NestedTrainerState(
            config: own.config, scheduler: scheduler, shapes: WindowedRun.shapes, snapshot: snapshot))
      }
    }
  }
}
