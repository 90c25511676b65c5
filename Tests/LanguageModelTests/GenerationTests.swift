import Kernels
import Tensors
import Testing

@testable import LanguageModel

@Suite struct GenerationTests {
  /// Greedy decoding takes the largest logit of the whole text so far, computed without a cache.
  @Test(arguments: GoldenModel.names) func greedyFollowsTheLogits(name: String) throws {
    let golden = try GoldenModel(name)
    let model = try golden.model()
    let prompt = golden.rows[1]
    var text = prompt
    try model.generate(prompt: prompt, maxTokens: 8) {
      text.append($0)
      return true
    }
    #expect(text.count > prompt.count)
    var expected = prompt
    while expected.count < prompt.count + 8 {
      let logits = try model.logits(expected)
      let last = logits.values.suffix(logits.shape[1])
      let best = try #require(last.max())
      let token = Int32(try #require(last.firstIndex(of: best)) - last.startIndex)
      if golden.folder.configuration.eosTokenIDs.contains(Int(token)) { break }
      expected.append(token)
    }
    #expect(text == expected)
  }

  @Test func samplingRepeatsWithItsSeed() throws {
    let model = try GoldenModel("mistral").model()
    func sample(seed: UInt64) throws -> [Int32] {
      var tokens: [Int32] = []
      try model.generate(prompt: [5, 6], maxTokens: 20, sampling: options(temperature: 1.5, seed: seed)) {
        tokens.append($0)
        return true
      }
      return tokens
    }
    #expect(try sample(seed: 1) == sample(seed: 1))
    #expect(try sample(seed: 1) != sample(seed: 2))
  }

  private func options(temperature: Double, seed: UInt64) -> SamplingOptions {
    var options = SamplingOptions()
    (options.temperature, options.seed) = (temperature, seed)
    return options
  }

  /// What is kept of an earlier text changes no bit of the next, wherever the two part; nor does a break.
  @Test(arguments: GoldenModel.names) func keptKeysChangeNothing(name: String) throws {
    let golden = try GoldenModel(name)
    let model = try golden.model()
    let generator = TextGenerator(model)
    let long = Array((golden.rows[0] + golden.rows[3]).prefix(30))
    let sampling = options(temperature: 1, seed: 3)
    var previous: [Int32] = []
    for prompt in [Array(long.prefix(9)), long, long, Array(long.prefix(4)) + [7, 7, 7], [7] + long] {
      var (kept, fresh) = ([Int32](), [Int32]())
      try generator.generate(prompt: prompt, maxTokens: 90, sampling: sampling) {
        kept.append($0)
        return true
      }
      try model.generate(prompt: prompt, maxTokens: 90, sampling: sampling) {
        fresh.append($0)
        return true
      }
      #expect(kept == fresh && !fresh.isEmpty)
      let common = zip(previous, prompt).prefix { $0 == $1 }.count
      #expect(generator.reusedTokens == min(common, prompt.count - 1))
      previous = prompt + kept
      let watch = ComputationWatch()
      model.watch = watch
      watch.cancel()
      #expect(throws: TensorError.self) {
        try generator.generate(prompt: previous + [1, 2], maxTokens: 1) { _ in true }
      }
      model.watch = nil
    }
  }

  @Test func stopsWhenTold() throws {
    let model = try GoldenModel("mistral").model()
    var count = 0
    try model.generate(prompt: [5], maxTokens: 20) { _ in
      count += 1
      return count < 3
    }
    #expect(count <= 3)
    #expect(throws: BatchError.self) {
      try model.generate(prompt: [], maxTokens: 1) { _ in true }
    }
    #expect(throws: BatchError.self) {
      try model.generate(prompt: [1], maxTokens: 1, sampling: options(temperature: .nan, seed: 0)) { _ in true
      }
    }
    #expect(throws: BatchError.self) {
      try model.generate(prompt: [1], maxTokens: .max) { _ in true }
    }
  }

  /// Token i is drawn for the uniform numbers of an interval as long as its probability softmax(logits/T)[i].
  @Test func drawingFollowsTheSoftmax() {
    let logits: [Float] = [1, 3, -2, 2]
    let weights = logits.map { nl_exp(Double($0)) }
    let total = weights.reduce(0, +)
    var start = 0.0
    for (token, weight) in weights.enumerated() {
      for place in [0.01, 0.5, 0.99] {
        let uniform = start + place * weight / total
        #expect(LogitsProcessor.draw(logits, uniform: uniform) == Int32(token))
      }
      start += weight / total
    }
  }
}
