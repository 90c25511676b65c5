import JSON
import Testing

@testable import LanguageModel

/// The reference are the logits processors of transformers 5.24, in the order of its `generate`
/// (Fixtures/make_generation_golden.py).
@Suite struct SamplingTests {
  struct Case {
    let options: SamplingOptions
    let text: Set<Int32>
    let logits: [Float]
    let probabilities: [Double]
  }

  static func cases() throws -> [Case] {
    let json = try GoldenModel.json(fixture("golden/sampling.json"))
    return try #require(json["cases"]?.array).map { item in
      var options = SamplingOptions()
      options.temperature = item["options"]?["temperature"]?.double ?? 1
      options.topK = item["options"]?["top_k"]?.int
      options.topP = item["options"]?["top_p"]?.double ?? 1
      options.repetitionPenalty = item["options"]?["repetition_penalty"]?.double ?? 1
      return Case(
        options: options, text: Set(try #require(item["text"]?.array).compactMap { $0.int.map(Int32.init) }),
        logits: try #require(item["logits"]?.array).compactMap { $0.double.map { Float($0) } },
        probabilities: try #require(item["probabilities"]?.array).compactMap(\.double))
    }
  }

  /// Each token is drawn for an interval of uniform numbers as long as the probability that transformers gives it.
  @Test func probabilitiesAreThoseOfTransformers() throws {
    let cases = try Self.cases()
    #expect(cases.count > 20)
    for item in cases {
      let scores = TokenSampler.scores(item.logits, seen: item.text, item.options)
      var start = 0.0
      for (id, expected) in item.probabilities.enumerated() {
        let isLeftOut = scores[id] == -Float.infinity
        #expect(isLeftOut == (expected == 0), "\(item.options), token \(id)")
        if expected > 1e-5 {
          #expect(LogitsProcessor.draw(scores, uniform: start + expected / 2) == Int32(id), "\(item.options)")
          // Both ends of the interval, but for rounding.
          #expect(LogitsProcessor.draw(scores, uniform: start + 3e-6) == Int32(id), "\(item.options)")
          #expect(
            LogitsProcessor.draw(scores, uniform: start + expected - 3e-6) == Int32(id), "\(item.options)")
        }
        start += expected
      }
    }
  }

  @Test func thePenaltyHoldsWithoutATemperature() {
    var options = SamplingOptions()
    options.repetitionPenalty = 2
    var sampler = TokenSampler(options, prompt: [1])
    // 4/2 is below 3; then 3/2 is below 4/2, which is as much as 2 and has the lower id, and nothing is divided twice.
    let logits: [Float] = [-1, 4, 3, 2]
    let tokens = [sampler.next(logits), sampler.next(logits), sampler.next(logits)]
    #expect(tokens == [2, 1, 1])
  }

  /// Where transformers leaves the order of equals open, the lower ids are the likelier.
  @Test func equalsGoByTheirIDs() {
    var scores: [Float] = [0, 1, 1, 1, 1, 0]
    LogitsProcessor.keepTop(&scores, share: 0.4)
    let none = -Float.infinity
    #expect(scores == [none, 1, 1, none, none, none])
    #expect(LogitsProcessor.likeliest([0, 1, 1]) == 1)
  }

  /// A long vocabulary is sorted in part only; what is kept is what sorting all of it keeps.
  @Test func marginsChangeNothing() {
    let scores = (0..<5000).map { Float($0 * 7919 % 5000) / 100 }
    for count in [1, 7, 400, 900, 4999] {
      var kept = scores
      LogitsProcessor.keepTop(&kept, count: count)
      let expected = Set(scores.sorted(by: >).prefix(count))
      #expect(Set(kept.filter { $0 > -.infinity }) == expected)
    }
    var flat = [Float](repeating: 1, count: 1000)
    LogitsProcessor.keepTop(&flat, share: 0.25)
    let kept = flat.indices.filter { flat[$0] == 1 }
    #expect(kept == Array(0..<250))
  }

  /// Numbers that are no logits choose some token.
  @Test func oddLogits() {
    var options = SamplingOptions()
    (options.temperature, options.topK, options.topP) = (1e-300, 2, 0.5)
    let (none, all) = (-Float.infinity, Float.infinity)
    let odd: [[Float]] = [[.nan, .nan, .nan], [none, none, none], [all, 1, 2], [1, 1, 1]]
    for logits in odd {
      var sampler = TokenSampler(options, prompt: [])
      #expect((0..<3).contains(sampler.next(logits)))
    }
  }
}
