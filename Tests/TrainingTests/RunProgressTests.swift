import JSON
import NestedLearning
import Testing
import WireProtocol

@testable import Training

/// What a run does between steps, as a transcript. The reference is the specification of eval_every,
/// checkpoint_every, early_stop and save_best_only.
@Suite struct RunProgressTests {
  /// Runs to the end with these validation losses, in order; at `reread` the state goes through its JSON, as it does
  /// through a snapshot.
  func transcript(_ config: NestedLearningConfig, losses: [Double], reread: Int? = nil) throws -> String {
    var progress = RunProgress()
    var losses = losses[...]
    var lines: [String] = []
    while lines.count < 100 {
      switch progress.next(config) {
      case .train(let step):
        if step == reread { progress = try RunProgress(json: JSONValue(parsing: progress.json.text)) }
        progress.applied(step: step)
        lines.append("step \(step)")
      case .evaluate:
        let loss = losses.popFirst() ?? .infinity
        progress.evaluated(loss: loss, config)
        lines.append("evaluate \(loss)")
      case .saveBest:
        progress.savedBest()
        lines.append("best")
      case .saveCheckpoint:
        progress.savedCheckpoint()
        lines.append("checkpoint")
      case .evaluateScale(let scale):
        let trial = progress.tried(scale: scale, loss: losses.popFirst() ?? .infinity, config)
        lines.append("scale \(scale) \(trial.holds ? "holds" : "does not")")
      case .saveScaled:
        progress.savedScaled()
        lines.append("scaled \(progress.selectedScale)")
      case .finish(let ending):
        lines.append(ending.rawValue)
        return lines.joined(separator: ", ")
      }
    }
    return lines.joined(separator: ", ")
  }

  func config(_ change: (inout NestedLearningConfig) -> Void = { _ in }) -> NestedLearningConfig {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    config.numSteps = 7
    config.evalEvery = 3
    config.checkpointEvery = 2
    change(&config)
    return config
  }

  /// What a curriculum follows goes through a snapshot; without it there is no trace of it.
  @Test func accuraciesAreKept() throws {
    var progress = RunProgress()
    progress.applied(step: 3)
    progress.evaluated(loss: 2, config())
    #expect(progress.json["accuracies"] == nil)
    progress.evaluated(
      loss: 2, accuracy: EvaluatedAccuracy(step: 3, correct: 5, tokens: 9), config())
    let again = try RunProgress(json: JSONValue(parsing: progress.json.text))
    #expect(
      again == progress && again.followed.accuracies == [EvaluatedAccuracy(step: 3, correct: 5, tokens: 9)])
  }

  @Test func takesItsTurns() throws {
    let expected = """
      step 1, step 2, checkpoint, step 3, evaluate 2.0, best, step 4, checkpoint, step 5, step 6, evaluate 2.5, \
      checkpoint, step 7, evaluate 1.5, best, completed
      """
    #expect(try transcript(config(), losses: [2, 2.5, 1.5]) == expected)
    for step in 1...7 {
      #expect(
        try transcript(config(), losses: [2, 2.5, 1.5], reread: step) == expected, "resumed before \(step)")
    }
  }

  @Test func stopsEarlyWhenTheLossNoLongerFalls() throws {
    let config = config {
      $0.numSteps = 100
      $0.evalEvery = 1
      $0.checkpointEvery = 1000
      $0.patience = 2
      $0.minDelta = 0.1
    }
    // 1.95 is the best so far, but not by min_delta, so patience goes on counting.
    #expect(
      try transcript(config, losses: [2, 1.95, 2.1]) == """
        step 1, evaluate 2.0, best, step 2, evaluate 1.95, best, step 3, evaluate 2.1, stopped early
        """)
  }

  @Test func withoutEarlyStopGoesOn() throws {
    let config = config {
      $0.earlyStop = false
      $0.patience = 1
      $0.saveBestOnly = true
      $0.numSteps = 3
      $0.evalEvery = 1
    }
    #expect(
      try transcript(config, losses: [2, 3, 4]) == """
        step 1, evaluate 2.0, best, step 2, evaluate 3.0, step 3, evaluate 4.0, completed
        """)
  }

  /// Scales are tried from .95 on until the first whose loss is more than .01 above that of the last evaluation.
  @Test func triesSmallerScalesAfterTraining() throws {
    let config = config {
      $0.numSteps = 2
      $0.checkpointEvery = 100
      $0.selectScale = true
    }
    #expect(
      try transcript(config, losses: [2, 2.005, 2.01, 2.02]) == """
        step 1, step 2, evaluate 2.0, best, scale 0.95 holds, scale 0.9 holds, scale 0.85 does not, scaled 0.9, completed
        """)
    #expect(
      try transcript(config, losses: [2, 3]) == """
        step 1, step 2, evaluate 2.0, best, scale 0.95 does not, scaled 1.0, completed
        """)
    let all = try transcript(config, losses: [2] + Array(repeating: 1, count: 30))
    #expect(all.hasSuffix("scale 0.05 holds, scaled 0.05, completed"), "\(all)")
  }

  /// What was tried is not tried again by a run that goes on.
  @Test func goesOnWithScales() throws {
    let config = config {
      $0.numSteps = 1
      $0.selectScale = true
    }
    var progress = RunProgress()
    progress.applied(step: 1)
    progress.evaluated(loss: 1, config)
    progress.savedBest()
    _ = progress.tried(scale: 0.95, loss: 1, config)
    let again = try RunProgress(json: JSONValue(parsing: progress.json.text))
    #expect(again == progress)
    #expect(again.next(config) == .evaluateScale(0.9))
  }

  /// What evaluations have found goes through a snapshot; other schedules keep nothing of it.
  @Test func keepsTheWorstTasks() throws {
    for schedule in [TaskSchedule.worstFirst, .roundRobin] {
      let config = config { $0.tasksSchedule = schedule }
      var progress = RunProgress()
      for (step, task) in [(2, 1), (4, 0)] {
        progress.applied(step: step)
        progress.evaluated(loss: 1, worst: task, config)
      }
      let isKept = schedule == .worstFirst
      #expect(progress.followed.worst == (isKept ? [.init(step: 2, task: 1), .init(step: 4, task: 0)] : []))
      #expect(try RunProgress(json: JSONValue(parsing: progress.json.text)) == progress)
      #expect((progress.json["worst_tasks"] != nil) == isKept)
    }
  }

  /// The lowest accuracy, then the highest mean loss, then the first; without a label none.
  @Test func theWorstTaskIsTheLeastAccurate() {
    #expect(WorstTask.of([.init(places: 4, correct: 3), .init(places: 2, correct: 1)]) == 1)
    #expect(
      WorstTask.of([.init(loss: 2, places: 4, correct: 2), .init(loss: 3, places: 2, correct: 1)]) == 1)
    #expect(
      WorstTask.of([.init(loss: 2, places: 4, correct: 2), .init(loss: 1, places: 2, correct: 1)]) == 0)
    #expect(WorstTask.of([.init(), .init(places: 2, correct: 2)]) == 1)
    #expect(WorstTask.of([.init()]) == nil && WorstTask.of([]) == nil)
  }

  @Test func refusesASnapshotThatLacksAMember() {
    #expect(throws: TrainingError.self) { try RunProgress(json: ["step": 3]) }
  }
}
