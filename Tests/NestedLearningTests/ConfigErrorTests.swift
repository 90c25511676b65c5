import JSON
import Testing

@testable import NestedLearning

/// What is wrong with a config, told with file, line and key.
@Suite struct ConfigErrorTests {
  private func failure(_ body: () throws -> NestedLearningConfig) -> String {
    do {
      _ = try body()
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  /// Each line of a config, and the whole message for it.
  @Test(arguments: [
    (#""learning_rte": 1"#, "learning_rte: is not a key; the nearest key is learning_rate"),
    (#""batch-size": 1"#, "batch-size: is not a key; the nearest key is batch_size"),
    (#""tier_phases": 1"#, "tier_phases: is not a key; the nearest key is tier_phase"),
    (#""lora_rank": 0"#, "lora_rank: must be a whole number from 1 to 65536, not 0"),
    (#""lora_rank": 2.5"#, "lora_rank: must be a whole number from 1 to 65536, not 2.5"),
    (#""lora_rank": 1e99"#, "lora_rank: must be a whole number from 1 to 65536, not 1e99"),
    (#""num_steps": "9""#, #"num_steps: must be a whole number from 1 to 1000000000, not "9""#),
    (#""seed": -1"#, "seed: must be a whole number from 0 to 9223372036854775807, not -1"),
    (#""learning_rate": -1e-5"#, "learning_rate: must be a number of at least 0, not -1e-5"),
    (#""learning_rate": 1e999"#, "learning_rate: must be a number of at least 0, not 1e999"),
    (#""learning_rate": null"#, "learning_rate: must be a number of at least 0, not null"),
    (#""lora_alpha": 0"#, "lora_alpha: must be a number above 0, not 0"),
    (#""lora_dropout": 1"#, "lora_dropout: must be a number from 0 to below 1, not 1"),
    (#""beta2": 1"#, "beta2: must be a number from 0 to below 1, not 1"),
    (#""eps": 0"#, "eps: must be a number of at least 1e-37, not 0"),
    (#""max_grad_norm": -1"#, "max_grad_norm: must be a number of at least 0, or null, not -1"),
    (#""shuffle": "yes""#, #"shuffle: must be true or false, not "yes""#),
    (#""optimizer": "rmsprop""#, #"optimizer: must be adam or adamw or sgd, not "rmsprop""#),
    (#""val_data_path": """#, #"val_data_path: must be a path, or a list of paths, not """#),
    (
      #""experiment_name": "a/b""#,
      #"experiment_name: "a/b" cannot be the name of a folder; choose a name without /"#
    ),
    (
      #""lora_target_modules": ["q_prj"]"#,
      #"lora_target_modules: there is no linear layer "q_prj"; the layers are q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj"#
    ),
    (
      #""lora_target_modules": ["q_proj", "q_proj"]"#,
      #"lora_target_modules: a layer is named twice in ["q_proj", "q_proj"]"#
    ),
    (
      #""lora_target_modules": []"#,
      #"lora_target_modules: must be a list of names such as "q_proj", or a regular expression, not a list"#
    ),
    (
      #""tier_update_frequencies": [4, 2, 8]"#,
      "tier_update_frequencies: [4, 2, 8] descends from 4 to 2; tier 0 is the fastest: sort it as [2, 4, 8]"
    ),
    (
      #""tier_update_frequencies": [0, 2, 8]"#,
      "tier_update_frequencies: must be a whole number from 1 to 1000000000, not 0"
    ),
    (
      #""tier_update_frequencies": [1, 2]"#,
      "tier_update_frequencies: has 2 values for 3 tiers (num_tiers); give one for each tier, as in [1, 2, 4]"
    ),
    (
      #""tier_lr_scale": [1, 2]"#,
      "tier_lr_scale: has 2 values for 3 tiers (num_tiers); give one for each tier"
    ),
    (
      #""tier_lr_scale": "fast""#,
      #"tier_lr_scale: must be none or inverse_frequency or a list of numbers of at least 0, not "fast""#
    ),
    (
      #""importance_steps": 5"#,
      "importance_steps: is only for tier_assignment_strategy parameter_importance; set that, or leave out importance_steps"
    ),
    (
      #""ewc_lambda": 1"#,
      "ewc_lambda: needs rows to measure on, and there are none; give ewc_data_path, set replay to self, or give replay_data_path"
    ),
    (
      #""ewc_data_path": "rows.jsonl""#,
      "ewc_data_path: has no effect without ewc_lambda; set that, or leave out ewc_data_path"
    ),
    (
      #""tasks": [{"name": "a b", "type": "classification", "labels": ["x", "y"]}]"#,
      "tasks: must give each task a name of letters, digits, _ and -, of at most 64"
    ),
    (
      #""tasks": [{"name": "a", "type": "classify", "labels": ["x", "y"]}]"#,
      "tasks: must give task a a type: classification or token_classification or language_modeling"
    ),
    (
      #""tasks": [{"name": "a", "type": "classification", "labels": ["x"]}]"#,
      "tasks: must give task a at least two labels"
    ),
    (
      #""tasks": [{"name": "a", "type": "classification", "labels": ["x", "x"]}]"#,
      "tasks: must give task a labels that are different texts"
    ),
    (
      #""tasks": [{"name": "a", "type": "language_modeling", "labels": ["x", "y"]}]"#,
      "tasks: gives task a labels, and language_modeling has none"
    ),
    (
      #""tasks": [{"name": "a", "type": "language_modeling", "weight": 2}]"#,
      #"tasks: has an unknown key "weight"; a task has name, type, labels, hidden_size, dropout"#
    ),
    (
      #""tasks": [{"name": "a", "type": "language_modeling"}, {"name": "a", "type": "language_modeling"}]"#,
      "tasks: must name at most 64 tasks, each once"
    ),
    (
      #""tasks": [{"name": "a", "type": "language_modeling"}], "loss": "eaft""#,
      "loss: is not combined with tasks: it is about tokens of the vocabulary; leave out loss, or tasks"
    ),
    (
      #""tasks_weighting": "uncertainty""#,
      "tasks_weighting: has no effect without tasks; give tasks, or leave out tasks_weighting"
    ),
    (
      #""tasks_weighting_rate": 0.5"#,
      "tasks_weighting_rate: has no effect without tasks_weighting uncertainty or gradnorm; set that, or leave out tasks_weighting_rate"
    ),
    (
      #""tasks_gradnorm_alpha": 0.5"#,
      "tasks_gradnorm_alpha: has no effect without tasks_weighting gradnorm; set that, or leave out tasks_gradnorm_alpha"
    ),
    (
      #""tasks": [{"name": "a", "type": "language_modeling"}, {"name": "b", "type": "language_modeling"}], "tasks_weighting": "gradnorm""#,
      "tasks_weighting: gradnorm needs every task in every step; set tasks_schedule to round_robin, and gradient_accumulation_steps to a multiple of the 2 tasks"
    ),
    (
      #""tasks_schedule": "round_robin", "packing": true"#,
      "tasks_schedule: is not combined with packing, which puts rows together as they come; leave out one of the two"
    ),
    (
      #""scale_tolerance": 0.5"#,
      "scale_tolerance: has no effect without select_scale; set that to true, or leave out scale_tolerance"
    ),
    (
      #""select_scale": true, "trainable": "full""#,
      "select_scale: is for adapters, and trainable full has none; set trainable to lora, or leave it out"
    ),
    (
      #""manual_tier_map": {"*": 0}"#,
      "manual_tier_map: is only for tier_assignment_strategy manual; set that, or leave out manual_tier_map"
    ),
    (
      #""default_tier": 0"#,
      "default_tier: is only for tier_assignment_strategy manual; set that, or leave out default_tier"
    ),
    (
      #""tier_seed": 1"#,
      "tier_seed: is only for tier_assignment_strategy random; set that, or leave out tier_seed"
    ),
    (
      #""module_type_tiers": {"mlp": 1}"#,
      "module_type_tiers: is only for tier_assignment_strategy module_type; set that, or leave out module_type_tiers"
    ),
    (
      #""module_type_tiers": {"mlp": 3}, "tier_assignment_strategy": "module_type""#,
      #"module_type_tiers: "mlp" goes to tier 3 of 3 (num_tiers); tiers are numbered from 0 to 2"#
    ),
    (
      #""tier_phase": [0, 1]"#, "tier_phase: has 2 values for 3 tiers (num_tiers); give one for each tier"
    ),
    (
      #""tier_phase": [0, 1, 4]"#,
      "tier_phase: is 4 for tier 2, whose period is 4 (tier_update_frequencies); a phase is from 0 to below the period"
    ),
    (
      #""tier_phase": "shifted""#,
      #"tier_phase: must be aligned or staggered or a list of whole numbers, not "shifted""#
    ),
    (
      #""manual_tier_map": {"*": 3}, "tier_assignment_strategy": "manual""#,
      #"manual_tier_map: "*" goes to tier 3 of 3 (num_tiers); tiers are numbered from 0 to 2"#
    ),
    (
      #""manual_tier_map": 3"#,
      "manual_tier_map: must be a list of {pattern, tier} or an object of patterns and tiers, not 3"
    ),
    (
      #""manual_tier_map": [{"pattern": "*", "tiers": 0}]"#,
      #"manual_tier_map: has an unknown key "tiers" in an entry; an entry has pattern and tier"#
    ),
  ])
  func eachWrongValueIsNamed(member: String, message: String) {
    #expect(failure { try readConfig(member) } == "runs/a.json:2: \(message)")
  }

  @Test func missingKeysAreNamed() {
    let empty = failure { try NestedLearningConfig(text: "{}", file: "a.json", format: .json) }
    #expect(empty == "a.json: base_model_path: is missing; give it in the file or as --base-model-path")
    let map = failure { try readConfig(#""tier_assignment_strategy": "manual""#) }
    let types = failure { try readConfig(#""tier_assignment_strategy": "module_type""#) }
    #expect(
      types.hasPrefix("runs/a.json: module_type_tiers: is missing: attention and the rest make two tiers"))
    #expect(
      map == "runs/a.json: manual_tier_map: is missing, and tier_assignment_strategy manual needs it; "
        + #"give a list such as [{"pattern": "*.q_proj", "tier": 0}]"#)
  }

  @Test func partsOfTheTierMapHaveTheirOwnLine() {
    let list = failure {
      try readConfig("\"manual_tier_map\": [\n{\"pattern\": \"*\", \"tier\": 0},\n{\"pattern\": 1}]")
    }
    #expect(list.hasPrefix("runs/a.json:4: manual_tier_map: must give a pattern (a string) and a tier"))
    let object = failure { try readConfig("\"manual_tier_map\": {\n\"a\": 0,\n\n\"b\": \"c\"}") }
    #expect(object.hasPrefix("runs/a.json:5: manual_tier_map: must give a pattern"))
  }

  @Test func brokenTextHasItsLine() {
    let json = failure { try readConfig(#""seed": 1,,"#) }
    #expect(json == "runs/a.json:2: not JSON: unexpected ','; a key in quotes was expected (column 11)")
    let twice = failure { try readConfig("\"seed\": 1,\n\"seed\": 2") }
    #expect(twice == "runs/a.json:3: not JSON: the key \"seed\" stands twice (column 1)")
    func yaml(_ text: String) -> String {
      failure { try NestedLearningConfig(text: text, file: "a.yaml", format: .yaml) }
    }
    #expect(yaml("base_model_path: m\nseed: [1\n").hasPrefix("a.yaml:3: not YAML: "))
    #expect(yaml("seed: 1\nseed: 2\n").contains("not YAML: a key stands twice: seed"))
    #expect(
      yaml("base_model_path: m\ntrain_data_path: d\nseed: off\n")
        == "a.yaml:3: seed: must be a whole number from 0 to 9223372036854775807, not \"off\"")
    #expect(yaml("- 1\n").hasPrefix("a.yaml: must be an object of keys and values, not a list"))
    #expect(yaml("").hasPrefix("a.yaml: must be an object of keys and values, not empty"))
  }

  /// Nine levels of ten aliases each: a billion values.
  @Test func aliasesDoNotMultiplyWithoutEnd() {
    var text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n"
    for i in 1..<9 {
      text += "a\(i): &a\(i) [" + Array(repeating: "*a\(i - 1)", count: 10).joined(separator: ", ") + "]\n"
    }
    let message = failure { try NestedLearningConfig(text: text, file: "a.yaml", format: .yaml) }
    #expect(message.contains("more than 100000 values"))
  }

  @Test func flagsAreNamedAsFlags() {
    let value = failure { try readConfig("", flags: [("tier_update_frequencies", [4, 2, 1])]) }
    #expect(value.hasPrefix("the command line: --tier-update-frequencies: [4, 2, 1] descends"))
  }

  @Test func keysThatDoNotGoTogetherAreRefused() {
    let full = failure { try readConfig(#""trainable": "full", "adapter_path": "a""#) }
    #expect(full.hasPrefix("runs/a.json:2: adapter_path: an adapter cannot be loaded with trainable full"))
    #expect(throws: ConfigError.self) { try config { $0.numTiers = 2 }.validate() }
  }
}
