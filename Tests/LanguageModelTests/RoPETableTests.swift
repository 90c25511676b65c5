import Foundation
import JSON
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

  @Test func linearScalingDivides() throws {
    var configuration = try GoldenModel("llama").folder.configuration
    configuration.ropeScaling = .none
    let plain = RoPETable.frequencies(configuration)
    configuration.ropeScaling = .linear(factor: 4)
    #expect(RoPETable.frequencies(configuration) == plain.map { $0 / 4 })
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

  /// transformers 5.24, LlamaConfig(hidden_size=64, num_attention_heads=4, max_position_embeddings=512,
  /// rope_theta=10000, rope_scaling=…): LlamaRotaryEmbedding(config)(x, arange(length)), then its inv_freq and
  /// attention_scaling.
  static let stretched: [(scaling: String, length: Int, frequencies: [Float], factor: Double)] = [
    (
      #"{"rope_type": "yarn", "factor": 4, "original_max_position_embeddings": 128}"#, 100,
      [
        1.0, 0.237170815, 0.049999997, 0.00790569466, 0.00249999994, 0.000790569466, 0.000250000012,
        7.90569466e-05,
      ], 1.138629436111989
    ),
    (
      #"{"type": "yarn", "factor": 8, "original_max_position_embeddings": 64, "beta_fast": 16, "beta_slow": 2, "#
        + #""mscale": 1.5, "mscale_all_dim": 0.7, "truncate": false}"#, 100,
      [
        1.0, 0.120533988, 0.0125000002, 0.00395284733, 0.00124999997, 0.000395284733, 0.000125000006,
        3.95284733e-05,
      ], 1.1452173535118173
    ),
    (
      #"{"rope_type": "yarn", "factor": 2, "attention_factor": 1.25}"#, 100,
      [
        1.0, 0.276699275, 0.075000003, 0.0197642371, 0.00499999989, 0.00158113893, 0.000500000024,
        0.000158113893,
      ], 1.25
    ),
    (
      #"{"rope_type": "dynamic", "factor": 3}"#, 100,
      [
        1.0, 0.316227764, 0.100000001, 0.0316227786, 0.00999999978, 0.00316227786, 0.00100000005,
        0.000316227786,
      ], 1
    ),
    (
      #"{"rope_type": "dynamic", "factor": 3}"#, 700,
      [
        1.0, 0.284395367, 0.0808807239, 0.0230021048, 0.00654169219, 0.00186042686, 0.000529096811,
        0.000150472682,
      ], 1
    ),
    (
      longrope, 100,
      [
        1.0, 0.287479758, 0.0833333358, 0.0243252143, 0.00714285718, 0.00210818532, 0.000624999986,
        0.000186016332,
      ], 1.1338934190276817
    ),
    (
      longrope, 700,
      [
        0.5, 0.10540925, 0.0250000004, 0.00632455572, 0.00166666671, 0.000451753964, 0.000125000006,
        3.51364179e-05,
      ], 1.1338934190276817
    ),
  ]
  static let longrope =
    #"{"type": "su", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6, 1.7], "#
    + #""long_factor": [2, 3, 4, 5, 6, 7, 8, 9], "original_max_position_embeddings": 128}"#

  /// Position 1 of the tables has the cosines of the frequencies themselves, times the attention factor. A shorter text
  /// of the same batch has its own frequencies, and asking for both at once or one after the other is the same.
  @Test(arguments: stretched.indices) func stretchedFrequenciesAreThoseOfTransformers(index: Int) throws {
    let (scaling, length, expected, factor) = Self.stretched[index]
    let text = """
      {"model_type": "llama", "vocab_size": 100, "hidden_size": 64, "intermediate_size": 96, "rope_theta": 10000,
       "num_hidden_layers": 2, "num_attention_heads": 4, "max_position_embeddings": 512, "rope_scaling": \(scaling)}
      """
    let configuration = try ModelConfiguration(json: JSONValue(parsing: text), file: "config.json")
    #expect(abs(configuration.ropeScaling.attentionFactor - factor) < 1e-12)
    let table = RoPETable(configuration: configuration, memory: try MemoryPool())
    let plain = try table.tables(lengths: [10])
    let first = Array(plain.tables.cosines.values.prefix(16))
    let (tables, starts) = try table.tables(lengths: [10, length])
    #expect(Array(tables.cosines.values.prefix(16)) == first && starts[0] == 0)
    for (pair, frequency) in expected.enumerated() {
      let place = (Int(starts[1]) + 1) * 8 + pair
      #expect(abs(Double(tables.sines.values[place]) - sin(Double(frequency)) * factor) < 3e-7)
      #expect(abs(Double(tables.cosines.values[place]) - cos(Double(frequency)) * factor) < 3e-7)
    }
    // What is written reads back as the same.
    #expect(try ModelConfiguration(json: configuration.json(), file: "config.json") == configuration)
  }
}
