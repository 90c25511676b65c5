import Coordination
import Files
import Foundation
import Harness
import JSON
import LanguageModel
import Logging
import Tensors
import Testing
import Training
import WireProtocol

@testable import Service

/// A worker's arithmetic, with the tiny model of the language model's fixtures: what becomes of chains when an attempt
/// is stopped, and when another session begins. The reference is the same attempts without that.
@Suite struct ShardComputerTests {
  private static let model = URL(filePath: #filePath).deletingLastPathComponent()
    .appending(path: "../../LanguageModelTests/Fixtures/models/qwen2_f32").standardized.path
  private static let rows: [Int32] = [5, 17, 42, 7, 99, 3]

  private let run: EnterRun

  init() throws {
    let specification = LoRASpecification(rank: 2, alpha: 4, targetModules: ["q_proj"], layers: [0, 1, 2, 3])
    let folder = try ModelFolder(path: Self.model)
    let trainable = try TrainableModel(
      folder: folder, trainable: .lora(specification), pool: ThreadPool(threads: 1), scansForNonFinite: false)
    let parameters = trainable.parameters.map { TierParameter(name: $0.name, shape: $0.shape) }
    run = EnterRun(
      workerID: 1, run: "run", modelPath: Self.model,
      modelSHA256: try FileDigest.sha256(files: folder.weightFiles()),
      trainable: specification.json(),
      tiers: [parameters.sorted { $0.name.utf8.lexicographicallyPrecedes($1.name.utf8) }])
  }

  /// A worker that has just joined, with parameters.
  private func computer(threads: Int = 1) throws -> ShardComputer {
    let source = ModelSource(
      ownPath: Self.model, cache: nil, logger: Logger(label: "test"), failpoints: .none)
    let computer = try ShardComputer(threads: threads, source: source, failpoints: .none)
    try join(computer)
    return computer
  }

  private func join(_ computer: ShardComputer, _ other: EnterRun? = nil) throws {
    _ = try computer.load(other ?? run, channel: ModelChannel { _ in })
    let count = TierLayout(run).count(tier: 0)
    let values = (0..<count).map { Float($0 * 37 % 101 - 50) / 500 }
    try computer.apply(
      ParametersMessage(
        tier: 0, version: 1, digest: "",
        values: WireObject(name: ParametersMessage.objectName, floats: values)))
  }

  private func assignment(step: Int, purpose: Purpose = .train, _ order: ChainOrder) -> AssignMessage {
    let shifted = Self.rows.map { ($0 + Int32(step)) % 128 }
    return AssignMessage(
      attempt: step, purpose: purpose, step: step, leafCount: 1, level: 0, index: 0, tiers: [0], window: true,
      stepTokens: 5, windows: [WindowOrder(tier: 0, returns: .copy, chains: [order])], parameterVersions: [1],
      microBatches: purpose == .collect
        ? []
        : [
          AssignedMicroBatch(
            number: 0, tokens: shifted, offsets: [0, Int32(shifted.count)],
            labels: shifted.dropFirst() + [-100])
        ])
  }

  private func chain(_ result: ResultMessage) throws -> WireObject {
    try #require(result.chains.first).values
  }

  /// An attempt that is stopped on its way leaves the chain as it was; the next one goes on from there, and a chain that
  /// nothing happened to is the same.
  @Test func aStoppedAttemptAddsNothing() throws {
    let (disturbed, plain) = (try computer(), try computer())
    for computer in [disturbed, plain] {
      _ = try computer.compute(assignment(step: 1, .start), watch: ComputationWatch())
    }
    let first = try chain(plain.compute(assignment(step: 1, .start), watch: ComputationWatch()))
    let second = assignment(step: 2, .proceed(sha256: first.sha256))
    let watch = ComputationWatch()
    watch.cancel()
    #expect { try disturbed.compute(second, watch: watch) } throws: {
      if case TensorError.cancelled = $0 { true } else { false }
    }
    let kept = try chain(
      disturbed.compute(
        assignment(step: 2, purpose: .collect, .proceed(sha256: first.sha256)), watch: ComputationWatch()))
    #expect(kept == first)
    let last = try chain(disturbed.compute(second, watch: ComputationWatch()))
    #expect(last == (try chain(plain.compute(second, watch: ComputationWatch()))))
    #expect(last.sha256 != first.sha256)
  }

  /// Chains belong to a session: a worker that joins anew has none, and says so.
  @Test func anotherSessionBeginsWithoutChains() throws {
    let computer = try computer()
    let first = try chain(computer.compute(assignment(step: 1, .start), watch: ComputationWatch()))
    try join(computer)
    for purpose in [Purpose.train, .collect] {
      let text = errorText {
        _ = try computer.compute(
          assignment(step: 2, purpose: purpose, .proceed(sha256: first.sha256)), watch: ComputationWatch())
      }
      #expect(text.contains("the chain of tier 0, micro-batch 0 is not here"), "\(text)")
    }
  }

  /// A result that has not been answered is at hand when the same shard is asked for again, in another session and under
  /// another attempt; not with other parameters, for another shard, or once it is answered. That it was not computed
  /// again shows in its time, which is never twice the same.
  @Test func anUnansweredResultIsAtHand() throws {
    func assignment(_ attempt: Int, step: Int = 1) -> AssignMessage {
      var assignment = self.assignment(step: step, .separate)
      (assignment.attempt, assignment.window, assignment.windows) = (attempt, false, [])
      return assignment
    }
    func compute(_ computer: ShardComputer, _ message: AssignMessage) throws -> (
      result: ResultMessage, isNew: Bool
    ) {
      let watch = ComputationWatch()
      let result = try computer.compute(message, watch: watch)
      #expect(result.attempt == message.attempt)
      return (result, watch.steps > 0)
    }
    let computer = try computer()
    let first = try compute(computer, assignment(1))
    #expect(first.isNew)
    try join(computer)
    var again = try compute(computer, assignment(2))
    #expect(!again.isNew && again.result.gradients == first.result.gradients)
    #expect(again.result.lossSum == first.result.lossSum && again.result.tokens == first.result.tokens)
    // Answers to other attempts are not for it.
    computer.forget(attempt: 1)
    #expect(!(try compute(computer, assignment(3)).isNew))
    computer.forget(attempt: 3)
    again = try compute(computer, assignment(4))
    #expect(again.isNew && again.result.gradients == first.result.gradients)
    #expect(try compute(computer, assignment(5, step: 2)).isNew)
    #expect(!(try compute(computer, assignment(6, step: 2)).isNew))
    // The same version of a tier, with other values.
    let count = TierLayout(run).count(tier: 0)
    try computer.apply(
      ParametersMessage(
        tier: 0, version: 1, digest: "",
        values: WireObject(name: ParametersMessage.objectName, floats: [Float](repeating: 0.01, count: count))
      ))
    #expect(try compute(computer, assignment(7, step: 2)).isNew)
  }

  /// Of each layer forward and of each input that has a gradient back, of each module; the same with any number of
  /// threads, and if layers are computed twice. Those of modules are what `WordDigest` gives of the gradient that comes
  /// back. LoRA is on one module in each of four layers, of which the lowest needs no gradient by its input.
  @Test func digestsOfLayers() throws {
    func assignment(_ purpose: Purpose = .train, step: Int = 1) -> AssignMessage {
      var assignment = self.assignment(step: step, purpose: purpose, .separate)
      (assignment.window, assignment.windows) = (false, [])
      return assignment
    }
    let result = try computer().compute(assignment(), watch: ComputationWatch())
    let layers = try #require(result.layers)
    let layerCount = try ModelFolder(path: Self.model).configuration.layerCount
    #expect(layers.forward.count == layerCount + 1 && Set(layers.forward).count == layerCount + 1)
    #expect(layers.backward.count == layerCount - 1 && Set(layers.backward).count == layerCount - 1)
    let values = try #require(result.gradients.first).values.floats()
    let modules = TierLayout(run).modules(tier: 0)
    #expect(modules.map(\.name) == (0..<4).map { "model.layers.\($0).self_attn.q_proj" })
    let expected = modules.map { module in
      var digest = WordDigest()
      Array(values[module.range]).withUnsafeBufferPointer { digest.add($0) }
      return digest.value
    }
    #expect(layers.gradients == expected && layers.sums == expected)
    #expect(try computer(threads: 3).compute(assignment(), watch: ComputationWatch()).layers == layers)
    let other = try #require(try computer().compute(assignment(step: 2), watch: ComputationWatch()).layers)
    #expect(zip(other.forward, layers.forward).allSatisfy { $0 != $1 })
    for purpose in [Purpose.evaluate, .recompute] {
      #expect(try computer().compute(assignment(purpose), watch: ComputationWatch()).layers == nil)
    }
    var twice = run
    twice.recomputesLayers = true
    let recomputing = try computer()
    try join(recomputing, twice)
    #expect(try recomputing.compute(assignment(), watch: ComputationWatch()).layers == layers)
  }
}
