import LanguageModel
import Tensors
import Testing

/// Gradients against transformers and peft. The reference's own error against float64 is up to 2e-6
/// (Fixtures/golden/*.json).
@Suite struct GoldenGradientTests {
  static let tolerance = 5e-6

  @Test(arguments: GoldenModel.names, [Precision.f32, .f32Tiles])
  func loraGradients(name: String, precision: Precision) throws {
    let golden = try GoldenModel(name)
    let model = try golden.model(precision: precision)
    let names = Set(model.parameters.map(\.name))
    let (loss, gradients) = try model.gradients(golden.batch, of: names, dropout: nil)
    #expect(abs(loss / golden.lossSum - 1) < 1e-6)
    let expected = try golden.loraGradients()
    #expect(Set(expected.keys) == names)
    for (name, reference) in expected {
      let gradient = try #require(gradients[name])
      #expect(gradient.shape == reference.shape)
      #expect(relativeError(gradient.values, reference.values) < Self.tolerance, "\(name)")
    }
  }

  /// Every weight: embedding (tied in llama), norms, biases (qwen2), projections, head.
  @Test(arguments: ["qwen2_f32", "llama"]) func weightGradients(name: String) throws {
    let golden = try GoldenModel(name)
    let model = try golden.fullModel()
    let names = Set(model.parameters.map(\.name))
    let gradients = try model.gradients(golden.batch, of: names, dropout: nil).gradients
    let expected = try golden.weightGradients()
    #expect(Set(expected.keys) == names)
    for (name, reference) in expected {
      let gradient = try #require(gradients[name])
      #expect(gradient.shape == reference.shape)
      // A key's bias moves all scores of a query alike, so its gradient is zero but for rounding.
      guard !name.hasSuffix("k_proj.bias") else {
        #expect(largestDifference(gradient.values, reference.values) < 2e-5, "\(name)")
        continue
      }
      #expect(relativeError(gradient.values, reference.values) < Self.tolerance, "\(name)")
    }
  }
}
