import JSON
import Testing

@testable import NestedLearning

@Suite struct PresetTests {
  /// The table of presets that users are told.
  @Test(
    arguments: [
      ("conservative", [1, 2, 4], "layer_depth", 1e-5, 512, 1, 1000),
      ("balanced", [1, 3, 9], "layer_depth", 1e-5, 512, 1, 1000),
      ("aggressive", [1, 5, 25], "parameter_importance", 5e-6, 512, 1, 1000),
      ("continual", [1, 5, 25], "parameter_importance", 5e-6, 512, 1, 1000),
      ("domain", [1, 3, 9], "layer_depth", 1e-5, 512, 1, 1000),
      ("quick", [1, 2, 4], "layer_depth", 2e-5, 512, 1, 500),
      ("small", [1, 2], "layer_depth", 5e-5, 256, 2, 1000),
      ("medium", [1, 2, 4], "layer_depth", 1e-5, 128, 1, 1000),
      ("large", [1, 2, 4, 8], "layer_depth", 1e-6, 64, 1, 1000),
    ] as [(String, [Int], String, Double, Int, Int, Int)])
  func valuesAreThoseOfTheTable(
    name: String, periods: [Int], strategy: String, rate: Double, length: Int, batch: Int, steps: Int
  ) throws {
    var config = NestedLearningConfig(baseModelPath: "m", trainDataPath: "d", experimentName: "e")
    config.preset = name
    try config.applyPreset()
    #expect(config.numTiers == periods.count && config.tierUpdateFrequencies == periods)
    #expect(config.tierAssignmentStrategy.rawValue == strategy && config.learningRate == rate)
    #expect(config.maxSeqLength == length && config.batchSize == batch && config.numSteps == steps)
    #expect(TrainingPreset.all.count == 10)
  }

  @Test func whatIsGivenWins() throws {
    let config = try readConfig(
      #""preset": "small", "learning_rate": 0.5, "batch_size": 7"#, flags: [("max_seq_length", 33)])
    #expect(config.learningRate == 0.5 && config.batchSize == 7 && config.maxSeqLength == 33)
    #expect(config.numTiers == 2)
    // What the preset gives is not taken for given: a shorter model may shorten its rows.
    #expect(!config.explicitKeys.contains("num_tiers"))
    let flag = try readConfig(#""preset": "small""#, flags: [("preset", "large")])
    #expect(flag.preset == "large" && flag.numTiers == 4)
    #expect(try readConfig(#""preset": "large", "num_tiers": 1"#).tierUpdateFrequencies == [1])
    #expect(try readConfig(#""preset": "large", "tier_update_frequencies": [1, 6, 7]"#).numTiers == 3)
  }

  /// A run's config.json has the preset's name and every value, and reads as the same config, whatever the preset is then.
  @Test func theNameIsRecorded() throws {
    let config = try readConfig(#""preset": "balanced""#)
    var members = try #require(config.json().object)
    #expect(members["preset"] == "balanced")
    members["learning_rate"] = 0.25
    let again = try NestedLearningConfig(object: members, file: "config.json")
    #expect(again.learningRate == 0.25 && again.tierUpdateFrequencies == [1, 3, 9])
  }

  @Test func anUnknownPresetIsNamed() {
    let error = #expect(throws: ConfigError.self) { try readConfig(#""preset": "fast""#) }
    let words = error?.description ?? ""
    #expect(words.hasPrefix("runs/a.json:2: preset: must be conservative or balanced or"))
  }
}
