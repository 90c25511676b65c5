import JSON
import Tensors
import Testing

@testable import LanguageModel

/// The reference is PyTorch, in float64 from the logits of transformers and peft (Fixtures/make_generation_golden.py).
@Suite struct TokenScoresTests {
  private func base(_ golden: GoldenModel) throws -> TrainableModel {
    try TrainableModel(
      folder: golden.folder, trainable: .lora(try golden.loraSpecification()), pool: ThreadPool(threads: 2))
  }

  @Test(arguments: GoldenModel.names) func divergencesAreThoseOfPyTorch(name: String) throws {
    let golden = try GoldenModel(name)
    let expected = try #require(try GoldenModel.json(fixture("golden/scores.json"))[name])
    let scores = try golden.model().scores(golden.batch, against: base(golden))
    func check(_ values: [Double], _ key: String) throws {
      let reference = try #require(expected[key]?.array).compactMap(\.double)
      #expect(values.count == reference.count)
      for (value, reference) in zip(values, reference) { #expect(abs(value - reference) < 2e-5, "\(key)") }
    }
    try check(scores.divergences, "divergences")
    try check(scores.losses, "losses")
    let mean = scores.divergences.reduce(0, +) / Double(scores.divergences.count)
    let reference = try #require(expected["mean_divergence"]?.double)
    #expect(abs(mean - reference) < 1e-5)
    #expect(scores.correct == expected["correct"]?.int)
  }

  /// The losses are those of training, to the bit, and a model does not diverge from itself.
  @Test(arguments: GoldenModel.names) func lossesAreThoseOfTraining(name: String) throws {
    let golden = try GoldenModel(name)
    let model = try golden.model()
    let many = MicroBatch(rows: (0..<4).flatMap { _ in golden.rows })
    let scores = try model.scores(many, against: golden.model(threads: 1))
    let lossSum = scores.losses.reduce(0, +)
    #expect(try model.evaluate(many) == lossSum)
    #expect(scores.losses.count > 128 && scores.divergences.allSatisfy { abs($0) < 1e-12 })
  }

  /// Every place is right if the labels are PyTorch's likeliest tokens.
  @Test(arguments: GoldenModel.names) func countsWhatIsRight(name: String) throws {
    let golden = try GoldenModel(name)
    var batch = golden.batch
    batch.labels = []
    for i in golden.rows.indices {
      let logits = try golden.tensor("logits.\(i)")
      let width = logits.shape[1]
      for row in 0..<logits.shape[0] {
        let values = logits.values[row * width..<(row + 1) * width]
        let best = try #require(values.max())
        batch.labels.append(Int32(try #require(values.firstIndex(of: best)) - values.startIndex))
      }
    }
    #expect(try golden.model().scores(batch).correct == batch.tokens.count)
    batch.labels[3] = (batch.labels[3] + 1) % 200
    #expect(try golden.model().scores(batch).correct == batch.tokens.count - 1)
  }

  /// Of equal logits the lowest id counts; rows of a base with fewer tokens are whole distributions.
  @Test func equalsAndShorterVocabularies() throws {
    let tape = Tape(threads: try ThreadPool(threads: 1), memory: try MemoryPool())
    func head(_ logits: [Float]) throws -> Tape.Head {
      (
        Variable(try tape.memory.tensor([1, 1], [1])),
        Matrix(Variable(try tape.memory.tensor([logits.count, 1], logits)))
      )
    }
    let own = try head([1, 2, 2, 0])
    #expect(try tape.scores(own, labels: [1]).correct == 1)
    #expect(try tape.scores(own, labels: [2]).correct == 0)
    // torch: a = tensor([1., 2, 2, 0]).log_softmax(0); b = tensor([3., 0, 1]).softmax(0); (b * (b.log() - a[:3])).sum()
    let scores = try tape.scores(own, base: head([3, 0, 1]), labels: [3])
    let divergence = try #require(scores.divergences.first)
    #expect(abs(divergence - 1.2371039) < 1e-6)
  }
}
