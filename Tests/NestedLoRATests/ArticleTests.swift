import Foundation
import Harness
import LanguageModel
import NestedLearning
import NestedLoRA
import Tensors
import Testing
import Training

/// The examples of the DocC articles, compiled and run. The code between `// article NAME` and `// end` is that of the
/// article's blocks, one after the other, which a test holds it to.
@Suite(.serialized) struct ArticleTests {
  @Test func trainInProcess() throws {
    let scratch = try Scratch()
    let (baseModel, output) = (Fixtures.path("models/qwen2_f32"), scratch.path("runs"))
    let (trainingRows, validationRows) = (
      Fixtures.path("data/train.jsonl"), Fixtures.path("data/valid.jsonl")
    )
    // article NestedLoRA.docc/TrainInProcess.md
    var config = NestedLearningConfig(
      baseModelPath: baseModel, trainDataPath: trainingRows, experimentName: "example")
    config.outputPath = output
    config.valDataPath = validationRows
    config.tierUpdateFrequencies = [1, 2, 4]
    config.learningRate = 3e-3
    config.warmupSteps = 2
    config.numSteps = 8
    config.evalEvery = 4
    config.maxSeqLength = 32
    let trainer = NestedLoRATrainer(config, threads: 2)
    try trainer.setup()
    for tier in trainer.scheduler?.tiers ?? [] {
      print("tier \(tier.index): \(tier.clockText), \(tier.parameterCount) parameters")
    }

    var callbacks = TrainingCallbacks()
    callbacks.onStep = { step in
      print("step \(step.step), loss \(step.loss ?? .nan), tiers \(step.outcome.activeTiers)")
      return .goOn
    }
    callbacks.onEvaluation = { $0.loss < 1 ? .stop : .goOn }
    let result = try trainer.train(callbacks)
    print("\(result.steps) steps; the adapter is in \(result.finalCheckpoint)")
    // end
    #expect(result.steps == 8 && result.ending == .completed)
    #expect(result.finalCheckpoint == scratch.path("runs/example/checkpoints/final"))
    #expect(FileManager.default.fileExists(atPath: result.finalCheckpoint + "/adapters.safetensors"))
  }

  @Test func tiersByHand() throws {
    // article NestedLearning.docc/TiersByHand.md
    var config = NestedLearningConfig(baseModelPath: "-", trainDataPath: "-", experimentName: "by-hand")
    config.numTiers = 2
    config.tierUpdateFrequencies = [1, 3]
    let parameters = (0..<4).map { (layer: Int) in
      TrainableParameter(name: "layer\(layer).weight", module: "layer\(layer)", layer: layer, count: 2)
    }
    let scheduler = try ParameterTierScheduler(config: config, parameters: parameters)
    var values = Dictionary(uniqueKeysWithValues: parameters.map { ($0.name, [Float(1), -2]) })
    var optimizer = NestedAdam(config: config, tierCount: 2, counts: values.mapValues(\.count))
    for step in 1...9 {
      for tier in scheduler.activeTiers(at: step) {
        let due = scheduler.tiers[tier].parameters
        let gradients = values.filter { due.contains($0.key) }
        _ = try optimizer.update(tier: tier, rate: 0.1, parameters: &values, gradients: gradients)
      }
    }
    print(optimizer.updateCounts)
    // end
    #expect(optimizer.updateCounts == [9, 3])
  }

  @Test func gradientsOfText() throws {
    let baseModel = Fixtures.path("models/qwen2_f32")
    // article LanguageModel.docc/GradientsOfText.md
    let folder = try ModelFolder(path: baseModel)
    let tokenizer = try folder.tokenizer()
    let adapter = LoRASpecification(rank: 2, alpha: 4, targetModules: ["q_proj", "v_proj"], layers: [0, 1])
    let model = try TrainableModel(folder: folder, trainable: .lora(adapter), pool: ThreadPool(threads: 2))
    for parameter in model.parameters where parameter.name.hasSuffix("lora_a") {
      let ones = [Float](repeating: 0.01, count: parameter.shape.reduce(1, *))
      try ones.withUnsafeBufferPointer { try model.setParameter(parameter.name, $0) }
    }
    let rows = try ["Once upon a time", "the end"].map { try tokenizer.trainingIDs(text: $0, maxLength: 64) }
    let batch = MicroBatch(rows: rows)
    let wanted = Set(model.parameters.map(\.name).filter { $0.hasSuffix("lora_b") })
    let (loss, gradients) = try model.gradients(batch, of: wanted, dropout: nil)
    print("loss \(loss / Double(batch.trainedTokens))")
    for (name, gradient) in gradients {
      let values = zip(try model.parameterValues(name).values, gradient.values).map { value, slope in
        value - 10 * slope / Float(batch.trainedTokens)
      }
      try values.withUnsafeBufferPointer { try model.setParameter(name, $0) }
    }
    let after = try model.evaluate(batch)
    print("and \(after / Double(batch.trainedTokens)) after a step")
    // end
    #expect(gradients.count == wanted.count && wanted.count == 4)
    #expect(after < loss, "one small step against the gradient lowers the loss")
  }

  @Test func aPlan() throws {
    // article Training.docc/Training.md
    var config = NestedLearningConfig(baseModelPath: "-", trainDataPath: "-", experimentName: "plan")
    config.numTiers = 2
    config.tierUpdateFrequencies = [1, 4]
    let parameters = (0..<2).map { (layer: Int) in
      TrainableParameter(name: "layer\(layer).weight", module: "layer\(layer)", layer: layer, count: 8)
    }
    let plan = TierPlan(scheduler: try ParameterTierScheduler(config: config, parameters: parameters))
    let updates = (plan.firstStep...8).map { plan.scheduler.activeTiers(at: $0) }
    print("plan \(plan.number): \(updates)")
    // end
    #expect(updates == [[0], [0], [0], [0, 1], [0], [0], [0], [0, 1]])
  }

  @Test func theseAreTheArticlesExamples() throws {
    let tests = try String(contentsOfFile: #filePath, encoding: .utf8)
    let sources = URL(fileURLWithPath: #filePath).deletingLastPathComponent().path + "/../../Sources/"
    let examples = tests.components(separatedBy: "    // article ").dropFirst().filter {
      !$0.hasPrefix("\")")
    }
    #expect(examples.count == 4)
    for example in examples {
      let lines = example.components(separatedBy: "\n")
      let module = lines[0].split(separator: ".").first.map(String.init) ?? ""
      let article = try String(contentsOfFile: "\(sources)\(module)/\(lines[0])", encoding: .utf8)
      let code = lines.dropFirst().prefix { $0 != "    // end" }.map { $0.drop { $0 == " " } }
      let blocks = article.components(separatedBy: "```swift\n").dropFirst().flatMap { block in
        (block.components(separatedBy: "```").first ?? "").split(
          separator: "\n", omittingEmptySubsequences: false)
      }
      func trimmed(_ text: [Substring]) -> [Substring] {
        text.map { $0.drop { $0 == " " } }.filter { !$0.isEmpty }
      }
      #expect(trimmed(Array(code)) == trimmed(blocks), "\(lines[0])")
    }
  }
}
