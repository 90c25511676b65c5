import Kernels
import Randomness
import Tensors
import Testing

@testable import LanguageModel

/// Texts that a base model writes itself.
@Suite struct SelfReplayTests {
  /// The reference: each token by itself, from the logits of the whole text so far and the rule of methods.md.
  private static func reference(
    _ plan: SelfReplay, _ base: TrainableModel
  ) throws -> [[Int32]] {
    try plan.starts.enumerated().map { number, start in
      var text = start
      while text.count < plan.maxTokens {
        let all = try base.logits(text)
        let logits = Array(all.values.suffix(all.shape[1]))
        let most = try #require(logits.max())
        let weights = logits.map { Float(nl_exp(Double($0) - Double(most))) }
        let sums = weights.reduce(into: [Float]()) { $0.append(($0.last ?? 0) + $1) }
        let key = RandomKey(.selfReplay, seed: plan.seed, 0, UInt64(number))
        let goal = key.unit(UInt64(text.count)) * Double(try #require(sums.last))
        text.append(Int32(try #require(sums.firstIndex { Double($0) > goal })))
        if plan.endTokens.contains(text[text.count - 1]) { break }
      }
      return text
    }
  }

  /// Many texts of several lengths together, by a model that has an adapter, are those of the base one by one.
  @Test(arguments: GoldenModel.names) func asOneByOne(name: String) throws {
    let golden = try GoldenModel(name)
    let base = try TrainableModel(
      folder: golden.folder,
      trainable: .lora(LoRASpecification(rank: 1, alpha: 1, targetModules: ["q_proj"], layers: [0])),
      pool: ThreadPool(threads: 1))
    let vocabulary = Int32(golden.folder.configuration.vocabularySize)
    let starts = (0..<41).map { number in (0...(number % 3)).map { Int32(number + 7 * $0) % vocabulary } }
    // A third of the tokens end a text, so that texts end at all places.
    let plan = SelfReplay(
      seed: 7, maxTokens: 9, starts: starts, endTokens: Set((0..<vocabulary).filter { $0 % 9 == 0 }))
    var told: [Int] = []
    let texts = try plan.write(with: golden.model(threads: 2)) { told.append($0) }
    #expect(try texts == Self.reference(plan, base))
    #expect(told.last == 41 && told.count == 3)
    #expect(Set(texts.map(\.count)).count >= 3)
    let other = SelfReplay(seed: 8, maxTokens: 9, starts: starts, endTokens: plan.endTokens)
    #expect(try other.write(with: base) != texts)
  }

  @Test func promptsTakeTurns() {
    let prompts: [[Int32]] = [[1], [2], [3]]
    let starts = (0..<8).map { SelfReplay.start(of: $0, otherwise: [0], prompts: prompts, share: 0.5) }
    #expect(starts == [[0], [1], [0], [2], [0], [3], [0], [1]])
    #expect(
      (0..<4).map { SelfReplay.start(of: $0, otherwise: [0], prompts: prompts, share: 1) } == [
        [1], [2], [3], [1],
      ])
    #expect(
      (0..<4).allSatisfy { SelfReplay.start(of: $0, otherwise: [0], prompts: prompts, share: 0) == [0] })
  }

  @Test func whatCannotBegin() throws {
    let model = try GoldenModel("llama").model()
    for starts in [[[]], [[1, 2, 3]], [[1_000_000]]] as [[[Int32]]] {
      #expect(throws: BatchError.self) {
        try SelfReplay(seed: 1, maxTokens: 3, starts: starts, endTokens: []).write(with: model)
      }
    }
  }
}
