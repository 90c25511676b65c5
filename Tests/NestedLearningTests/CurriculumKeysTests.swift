import JSON
import Testing

@testable import NestedLearning

/// The keys of how rows are taken: read and written, and what does not go together.
@Suite struct CurriculumKeysTests {
  @Test(arguments: [
    #""sampling_mode": "difficulty", "sampling_range": [0.25, 0.75], "sampling_difficulty": "rarity""#,
    #""sampling_mode": "importance", "sampling_weight_field": "w""#,
    #""sampling_mode": "balanced", "sampling_balance_field": "label""#,
    #""sampling_mode": "length", "sampling_length_tolerance": 0.5, "sampling_length_mode": "mixed", "sampling_domain_field": "d""#,
    #""curriculum_strategy": "progressive", "curriculum_initial": 0.125, "curriculum_final": 0.5, "curriculum_steps": 7, "curriculum_warmup": 3"#,
    #""curriculum_strategy": "competence", "curriculum_target": 0.5, "curriculum_delta": 0.125, "curriculum_patience": 2"#,
    #""curriculum_strategy": "stages", "curriculum_stages": [{"range": [0, 0.5], "target": 0.25, "learning_rate": 0.5}, {"range": [0.5, 1], "target": 1}]"#,
    #""curriculum_strategy": "stages", "curriculum_stages": [{"range": [0, 1], "target": 0.5, "tier_map": {"*.q_proj": 1}}, {"range": [0, 1], "target": 1, "tier_map": [{"pattern": "a", "tier": 2}, {"pattern": "*", "tier": 0}]}]"#,
    #""curriculum_strategy": "stages", "val_data_path": "v", "curriculum_stages": [{"range": [0, 1], "target": 0.5, "frequencies": [1, 3, 9], "data": [{"path": "a", "weight": 1}, {"path": "b", "weight": 1}], "batch_size": 3}]"#,
  ])
  func readAndWritten(members: String) throws {
    let config = try readConfig(members)
    for member in try JSONValue(parsing: "{\(members)}").object?.members ?? [] {
      #expect(config.json()[member.key] == member.value)
    }
    #expect(
      try NestedLearningConfig(text: config.json().text, file: "b.json", format: .json).json()
        == config.json())
  }

  /// A config with one stage that has something of its own.
  private static func stage(_ members: String) -> String {
    "\"curriculum_strategy\": \"stages\", \"curriculum_stages\": [{\"target\": 0.5, \(members)}]"
  }

  /// What a stage has of its own is in place of the run's; paths in it are relative as others are.
  @Test func whatIsOfAStage() throws {
    var config = try readConfig(
      #""curriculum_strategy": "stages", "val_data_path": "v", "batch_size": 5, "tier_update_frequencies": [1, 2, 4], "curriculum_stages": [{"target": 0.5}, {"range": [0.5, 1], "target": 1, "tier_update_frequencies": [2, 2, 2], "data": "more/b.jsonl", "batch_size": 2}]"#
    )
    config.resolvePaths(fileFolder: "/configs", workingFolder: "/here")
    #expect(config.curriculumStages[0] == CurriculumStage(target: 0.5))
    #expect((0...2).map(config.frequencies(ofStage:)) == [[1, 2, 4], [2, 2, 2], [1, 2, 4]])
    #expect(config.initialFrequencies == [1, 2, 4] && config.changesPeriods)
    let (first, second) = (config.ofStage(0), config.ofStage(1))
    #expect(first.trainDataPath == "/configs/d" && first.batchSize == 5)
    #expect(second.trainDataPath == "/configs/more/b.jsonl" && second.batchSize == 2)
    #expect(second.valDataPath == "/configs/v" && second.trainDataFiles.isEmpty)
    let plain = try readConfig(#""curriculum_strategy": "stages", "curriculum_stages": ["0:1:0.5"]"#)
    #expect(!plain.changesPeriods && !plain.changesPlans && plain.ofStage(0).json() == plain.json())
  }

  /// As a flag has them.
  @Test func stagesAsTexts() throws {
    let config = try readConfig(
      #""curriculum_strategy": "stages""#,
      flags: [("curriculum_stages", .strings(["0:0.3:0.7:1e-4", "0.3:1:0.9"]))])
    #expect(
      config.curriculumStages == [
        CurriculumStage(range: 0...0.3, target: 0.7, learningRate: 1e-4),
        CurriculumStage(range: 0.3...1, target: 0.9),
      ])
    #expect(try config.curriculum()?.learningRate == 1e-4)
  }

  @Test(arguments: [
    (
      #""curriculum_strategy": "progressive", "curriculum_final": 0.2"#, "curriculum_final",
      "never gets easier"
    ),
    (#""curriculum_final": 0.5"#, "curriculum_final", "only for curriculum_strategy progressive"),
    (#""curriculum_strategy": "stages", "curriculum_warmup": 3"#, "curriculum_warmup", "only for"),
    (#""sampling_range": [0, 0.5]"#, "sampling_range", "only for sampling_mode difficulty"),
    (#""sampling_mode": "difficulty", "sampling_range": [0.5, 0.25]"#, "sampling_range", "two numbers"),
    (#""sampling_mode": "importance""#, "sampling_weight_field", "is missing"),
    (#""sampling_mode": "balanced""#, "sampling_balance_field", "is missing"),
    (#""sampling_difficulty": "length""#, "sampling_difficulty", "no effect"),
    (#""curriculum_strategy": "progressive", "packing": true"#, "packing", "leave out one"),
    (#""sampling_mode": "length", "curriculum_strategy": "progressive""#, "curriculum_strategy", "length"),
    (
      #""sampling_mode": "difficulty", "curriculum_strategy": "progressive""#, "sampling_mode",
      "leave out one"
    ),
    (#""sampling_mode": "length", "replay": "self""#, "sampling_mode", "replay"),
    (
      #""curriculum_strategy": "stages", "curriculum_stages": [{"range": [0, 2], "target": 0.5}]"#,
      "curriculum_stages", "range"
    ),
    (
      #""curriculum_strategy": "stages", "curriculum_stages": [{"range": [0, 1], "rate": 0.5}]"#,
      "curriculum_stages", "unknown"
    ),
    (#""curriculum_strategy": "stages", "curriculum_stages": ["0,1"]"#, "curriculum_stages", "such as"),
    (stage(#""frequencies": [1, 2]"#), "curriculum_stages", "2 values for 3 tiers"),
    (stage(#""frequencies": [1, 4, 2]"#), "curriculum_stages", "descends"),
    (stage(#""frequencies": [0, 1, 2]"#), "curriculum_stages", "whole number from 1"),
    (
      stage(#""frequencies": [1, 2, 3], "tier_update_frequencies": [1, 2, 3]"#), "curriculum_stages",
      "the same"
    ),
    (stage(#""frequencies": [1, 2, 3]"#) + #", "tier_phase": [0, 1, 3]"#, "tier_phase", "the first stage"),
    (
      stage(#""frequencies": [1, 2, 4]"#) + #", "tier_mode": "consolidate""#, "curriculum_stages",
      "consolidate"
    ),
    (
      stage(#""frequencies": [1, 2, 4]"#) + #", "replay_data_path": "r", "replay_at": "boundaries""#,
      "curriculum_stages", "replay_at"
    ),
    (
      stage(#""tier_map": {"*.q_proj": 3}"#), "curriculum_stages",
      "stage 0 by which \"*.q_proj\" goes to tier 3 of 3"
    ),
    (stage(#""tier_map": {}"#), "curriculum_stages", "has a stage whose tier_map has no pattern"),
    (stage(#""tier_map": ["a"]"#), "curriculum_stages", "a stage whose tier_map must give a pattern"),
    (
      stage(#""tier_map": {"a": 1}"#) + #", "tier_mode": "consolidate""#, "curriculum_stages",
      "has all parameters"
    ),
    (stage(#""batch_size": 0"#), "curriculum_stages", "whole number"),
    (stage(#""batch_size": 2"#) + #", "replay_data_path": "r""#, "curriculum_stages", "replay"),
    (stage(#""batch_size": 2"#) + #", "unfreeze": "gradual""#, "curriculum_stages", "epoch"),
    (stage(#""data": "a""#), "curriculum_stages", "val_data_path is missing"),
    (stage(#""data": "a""#) + #", "val_data_path": "v", "loss": "flow""#, "curriculum_stages", "flow"),
    (
      stage(#""data": [{"path": "a", "weight": 2}]"#) + #", "val_data_path": "v""#, "curriculum_stages",
      "weight"
    ),
  ]) func whatDoesNotGoTogether(members: String, key: String, reason: String) {
    let error = #expect(throws: ConfigError.self, "\(members)") { try readConfig(members) }
    #expect(
      error?.key == key && error?.line == (reason == "is missing" ? nil : 2), "\(error?.description ?? "")")
    #expect(error?.description.contains(reason) == true, "\(error?.description ?? "")")
  }

  /// A stage's rate takes the place of the base, and the schedule keeps its shape.
  @Test func aStagesRate() {
    let schedule = LearningRateSchedule(
      config: config {
        $0.learningRate = 0.5
        $0.lrSchedule = .linear
        $0.warmupSteps = 4
        $0.numSteps = 10
      })
    #expect(schedule.rate(at: 2, base: 0.25) == 0.125 && schedule.rate(at: 2) == 0.25)
    #expect(schedule.rate(at: 7, base: 1) == 1 - 3.0 / 7)
  }
}
