import LanguageModel
import Tensors
import Testing

/// Products in bf16 against PyTorch's own training in bf16 (Fixtures/make_bf16_golden.py), on the same model, adapter and
/// rows: gradients no further from float64 than under `torch.autocast("cpu", torch.bfloat16)`, which is the better of
/// the two ways. A loss may come out right by chance, so the worse of the two is its limit.
@Suite struct MixedPrecisionTests {
  struct Errors {
    let loss, gradients, worstGradient: Double

    /// - Parameter way: `autocast`, or `cast`, with the base model in bf16 altogether.
    init(_ name: String, _ way: String) throws {
      let json = try GoldenModel.json(fixture("golden/bf16.json"))
      let errors = try #require(json[name]?[way])
      loss = try #require(errors["loss"]?.double)
      gradients = try #require(errors["gradients"]?.double)
      worstGradient = try #require(errors["worst_gradient"]?.double)
    }
  }

  @Test(arguments: GoldenModel.names, [Precision.bf16Dot, .bf16Tiles])
  func lossAndGradients(name: String, precision: Precision) throws {
    let golden = try GoldenModel(name)
    let model = try golden.model(precision: precision)
    let names = model.parameters.map(\.name)
    let (loss, gradients) = try model.gradients(golden.batch, of: Set(names), dropout: nil)
    let expected = try golden.loraGradients()
    let errors = try names.map {
      relativeError(try #require(gradients[$0]).values, try #require(expected[$0]).values)
    }
    let together = relativeError(
      try names.flatMap { try #require(gradients[$0]).values },
      try names.flatMap { try #require(expected[$0]).values })
    let worst = errors.max() ?? .infinity
    let lossError = abs(loss / golden.lossSum - 1)
    let torch = try Errors(name, "autocast")
    print(
      "\(name) \(precision): loss \(lossError) (torch \(torch.loss)), gradients \(together) (\(torch.gradients)), worst \(worst)"
    )
    #expect(together <= torch.gradients)
    #expect(worst <= torch.worstGradient)
    #expect(try lossError <= max(torch.loss, Errors(name, "cast").loss))
    // It is not f32 after all.
    #expect(together > 1e-4)
  }

  @Test(arguments: [Precision.bf16Dot, .bf16Tiles, .f32Tiles]) func threadsGiveTheSameBits(
    precision: Precision
  ) throws {
    let golden = try GoldenModel("qwen3")
    let results = try (1...3).map { threads in
      let model = try golden.model(threads: threads, precision: precision)
      return try model.gradients(golden.batch, of: Set(model.parameters.map(\.name)), dropout: nil)
    }
    for result in results {
      #expect(result.lossSum == results[0].lossSum)
      for (name, gradient) in result.gradients {
        #expect(gradient.values == results[0].gradients[name]?.values)
      }
    }
  }
}
