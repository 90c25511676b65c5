import NestedLearning
import NestedLoRA

/// Trains the shipped model on the shipped text, and says what it does.
///
///     train-in-process QUICKSTART-FOLDER OUTPUT-FOLDER [STEPS]
@main struct TrainInProcess {
  static func main() throws {
    let arguments = CommandLine.arguments.dropFirst()
    guard let quickstart = arguments.first, let output = arguments.dropFirst().first else {
      return print("usage: train-in-process QUICKSTART-FOLDER OUTPUT-FOLDER [STEPS]")
    }
    var config = NestedLearningConfig(
      baseModelPath: "\(quickstart)/base", trainDataPath: "\(quickstart)/genesis.jsonl",
      experimentName: "in-process")
    config.outputPath = output
    config.tierUpdateFrequencies = [1, 2, 4]
    config.learningRate = 3e-3
    config.lrSchedule = .cosine
    config.warmupSteps = 5
    config.batchSize = 4
    config.gradientAccumulationSteps = 4
    config.maxSeqLength = 96
    config.numSteps = arguments.dropFirst(2).first.flatMap { Int($0) } ?? 40
    config.evalEvery = 20
    config.earlyStop = false

    let trainer = NestedLoRATrainer(config)
    try trainer.setup()
    for tier in trainer.scheduler?.tiers ?? [] {
      print("Tier \(tier.index): \(tier.clockText), \(tier.parameterCount) parameters")
    }
    for warning in trainer.warnings { print("Warning: \(warning)") }
    let result = try trainer.train(
      TrainingCallbacks(
        onStep: { step in
          print("Step \(step.step): loss \(step.loss ?? .nan), updated tiers \(step.outcome.activeTiers)")
          return .goOn
        },
        onEvaluation: { evaluation in
          print("Evaluation after step \(evaluation.step): \(evaluation.loss)")
          return .goOn
        }))
    print("Adapter: \(result.finalCheckpoint)")
  }
}
