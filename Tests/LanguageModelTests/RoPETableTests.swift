import Foundation
import Tensors
import Testing

@testable import LanguageModel

@Suite struct RoPETableTests {
  /// transformers 5.23, LlamaConfig of Fixtures/models/llama:
  ///   LlamaRotaryEmbedding(config).inv_freq
  @Test func llama3FrequenciesAreThoseOfTransformers() throws {
    let configuration = try GoldenModel("llama").folder.configuration
    let expected: [Float] = [
      1, 0.244384587, 0.0130422562, 0.00395284733, 0.00124999997, 0.000395284733, 0.000125000006,
      3.95284733e-05,
    ]
    let frequencies = RoPETable.frequencies(configuration)
    #expect(frequencies.count == expected.count)
    for (a, b) in zip(frequencies, expected) { #expect(abs(a - b) <= 2 * b.ulp) }
  }

  @Test func linearScalingDivides() {
    #expect(RoPEScaling.linear(factor: 4).scaled(0.5) == 0.125)
    #expect(RoPEScaling.none.scaled(0.5) == 0.5)
  }

  /// cos and sin of the f32 angle, correctly rounded but for a last bit, at near and far positions; and growing
  /// the table does not change what was in it.
  @Test func tablesHoldCosinesAndSines() throws {
    let configuration = try GoldenModel("llama").folder.configuration
    let table = RoPETable(configuration: configuration, memory: try MemoryPool())
    let small = try table.tables(positions: 10)
    let large = try table.tables(positions: 3000)
    #expect(large.positions >= 3000)
    let half = table.frequencies.count
    #expect(Array(large.cosines.values.prefix(small.cosines.count)) == small.cosines.values)
    for position in [0, 1, 77, 2999] {
      for (i, frequency) in table.frequencies.enumerated() {
        let angle = Double(Float(position) * frequency)
        #expect(abs(Double(large.cosines.values[position * half + i]) - cos(angle)) < 6e-8)
        #expect(abs(Double(large.sines.values[position * half + i]) - sin(angle)) < 6e-8)
      }
    }
  }
}
