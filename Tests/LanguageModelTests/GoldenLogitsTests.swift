import Tensors
import Testing

@testable import LanguageModel

/// Logits and losses against transformers and peft.
@Suite struct GoldenLogitsTests {
  @Test(arguments: GoldenModel.names) func logitsWithAdapter(name: String) throws {
    let golden = try GoldenModel(name)
    let model = try golden.model()
    for (i, row) in golden.rows.enumerated() {
      let (logits, expected) = (try model.logits(row), try golden.tensor("logits.\(i)"))
      #expect(logits.shape == expected.shape)
      #expect(largestDifference(logits.values, expected.values) < 2e-5)
    }
  }

  /// Before an adapter is set, a model computes what its base does.
  @Test(arguments: GoldenModel.names) func logitsOfTheBase(name: String) throws {
    let golden = try GoldenModel(name)
    let model = try TrainableModel(
      folder: golden.folder, trainable: .lora(try golden.loraSpecification()), pool: ThreadPool(threads: 1))
    for (i, row) in golden.rows.enumerated() {
      let expected = try golden.tensor("base_logits.\(i)")
      #expect(largestDifference(try model.logits(row).values, expected.values) < 2e-5)
    }
    #expect(abs(try model.evaluate(golden.batch) / golden.baseLossSum - 1) < 1e-6)
  }

  @Test(arguments: GoldenModel.names) func lossOfPackedRows(name: String) throws {
    let golden = try GoldenModel(name)
    #expect(abs(try golden.model().evaluate(golden.batch) / golden.lossSum - 1) < 1e-6)
  }

  /// All weights in f32 is the same model.
  @Test(arguments: GoldenModel.names) func fullModelLoss(name: String) throws {
    let golden = try GoldenModel(name)
    #expect(abs(try golden.fullModel().evaluate(golden.batch) / golden.baseLossSum - 1) < 1e-6)
  }

  /// Decoding a row in pieces with cached keys and values gives the bits of the whole row at once.
  @Test(arguments: GoldenModel.names) func cachedDecodingGivesTheSameLogits(name: String) throws {
    let golden = try GoldenModel(name)
    let model = try golden.model()
    let row = golden.rows[0]
    let whole = try model.logits(row)
    let vocabulary = whole.shape[1]
    let decoder = try CachedDecoder(model, capacity: row.count)
    for (begin, end) in [(0, 5), (5, 6), (6, 7), (7, 20), (20, row.count)] {
      let last = try decoder.lastLogits(Array(row[begin..<end]))
      #expect(last == Array(whole.values[(end - 1) * vocabulary..<end * vocabulary]), "after \(end) tokens")
    }
  }
}
