import Ledger
import NestedLearning
import Testing
import Training

@testable import Service

/// What the ledger has of tier plans gives the tiers back that they were written of, whatever follows what.
@Suite struct TierPlanRecordTests {
  @Test func theLedgersPlansGiveTheTiers() throws {
    var random = SystemRandomNumberGenerator()
    for _ in 0..<200 {
      var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
      (config.numSteps, config.curriculumStrategy) = (60, .stages)
      config.tierUpdateFrequencies = [1, 2, 4]
      config.tierPhase = Bool.random(using: &random) ? .aligned : .staggered
      if Bool.random(using: &random) {
        config.unfreezeSchedule = [UnfreezeStage(at: .step(Int.random(in: 2...9, using: &random)), layers: 9)]
        config.freeze = [.layers(3...3)]
      }
      config.curriculumStages = (0..<5).map { _ in
        // Each tier has a module in every stage.
        let places = ([0, 1, 2] + (0..<3).map { _ in Int.random(in: 0...2, using: &random) }).shuffled(
          using: &random)
        return CurriculumStage(
          target: 0,
          frequencies: Bool.random(using: &random)
            ? nil : (0..<3).map { _ in Int.random(in: 1...5, using: &random) }.sorted(),
          tierMap: ManualTierMap(
            entries: places.enumerated().map { ManualTierMap.Entry(pattern: "m\($0)", tier: $1) }))
      }
      config.curriculumStages[0].frequencies = nil
      let scheduler = try ParameterTierScheduler(
        config: config,
        parameters: (0..<6).map {
          TrainableParameter(name: "m\($0).w", module: "m\($0)", layer: $0, count: $0 + 1)
        })
      var course = PlanCourse(config: config, scheduler: scheduler)
      var records = [TierPlanRecord(course.plan)]
      var step = 0
      for _ in 1..<5 {
        step += Int.random(in: 1...8, using: &random)
        if course.take(EvaluatedAccuracy(step: step, correct: 1, tokens: 1)) {
          records.append(TierPlanRecord(course.plan))
        }
      }
      let tiers = records.tiers(parameterCounts: scheduler.tiers.map(\.parameterCount))
      #expect(tiers == course.plan.scheduler.tiers, "\(config.json().text)")
    }
  }
}
