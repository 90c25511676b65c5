import JSON
import Testing

@testable import NestedLearning

private let least = #""base_model_path": "m", "train_data_path": "d""#

private func read(_ members: String, _ overrides: [(key: String, value: JSONValue)] = []) throws
  -> NestedLearningConfig
{
  let text = "{\(least)\(members.isEmpty ? "" : ",\n\(members)")}"
  return try NestedLearningConfig(text: text, file: "runs/a.json", format: .json, overrides: overrides)
}

private func failure(_ body: () throws -> NestedLearningConfig) -> String {
  do {
    _ = try body()
    return "no error"
  } catch {
    return "\(error)"
  }
}

@Suite struct ConfigTests {
  /// The reference is the list of keys and defaults that users are told.
  @Test func everyKeyHasItsDefault() throws {
    let expected: JSONValue = [
      "preset": nil, "base_model_path": "m", "train_data_path": "d", "adapter_path": nil,
      "val_data_path": nil,
      "lora_target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"],
      "manual_tier_map": nil, "default_tier": nil, "module_type_tiers": nil, "tier_seed": nil,
      "tier_phase": "aligned", "flush_every": 8, "num_tiers": 3,
      "tier_update_frequencies": [1, 2, 4], "tier_assignment_strategy": "layer_depth",
      "tier_order": "shallow_fast", "inactive_gradients": "discard", "tier_lr_scale": "none",
      "optimizer": "adam", "learning_rate": 1e-5, "lr_schedule": "constant", "weight_decay": 0, "beta1": 0.9,
      "beta2": 0.999, "eps": 1e-8, "batch_size": 1, "gradient_accumulation_steps": 2, "num_steps": 1000,
      "max_seq_length": 512, "shuffle": true, "lora_rank": 8, "lora_alpha": 16, "lora_dropout": 0,
      "use_rslora": false, "trainable": "lora", "warmup_steps": 100, "max_grad_norm": 1,
      "checkpoint_every": 100, "eval_every": 100, "early_stop": true, "patience": 5, "min_delta": 1e-4,
      "output_path": "./runs", "experiment_name": "a", "save_best_only": false, "keep_last_n_checkpoints": 5,
      "seed": 42, "verify_fraction": 0.01, "arithmetic": nil, "mixed_precision": false,
      "skip_unusable_rows": false,
      "activation_checkpointing": "none", "loss_every": 1, "long_rows": "cut", "exclude_modules": nil,
      "layers_to_transform": nil, "num_layers": nil, "rank_pattern": nil, "alpha_pattern": nil,
      "modules_to_save": nil, "add_tokens": nil, "train_on": "completions", "packing": false,
      "chat_template_date": nil, "loss": "ce", "replay": "data", "replay_data_path": nil,
      "replay_fraction": 0.25, "replay_at": "always", "replay_targets": "hard", "self_replay_samples": 512,
      "self_replay_tokens": nil, "self_replay_prompts": [], "self_replay_prompted": 0.5, "kl_to_base": 0,
      "kl_on": "replay", "tier_mode": "layers", "consolidate_alpha": 0.5, "consolidate_moments": "keep",
      "anchor": 0, "ewc_lambda": 0, "ewc_rows": 256, "ewc_data_path": nil, "l2_sp_lambda": 0,
      "importance_steps": 100, "select_scale": false, "scale_tolerance": 0.01, "lr_end": 0, "lr_power": 1,
      "plateau_factor": 0.5, "plateau_patience": 5, "freeze": nil, "unfreeze": "none",
      "unfreeze_schedule": nil, "layer_lr_decay": 1, "lr_groups": nil, "tasks": nil,
      "adaptation_domains": nil, "adaptation_domain_field": "domain", "adaptation_adversary": 0,
      "adaptation_adversary_alpha": 10, "adaptation_norms": "none",
      "tasks_weighting": "equal", "tasks_weighting_rate": 0.025,
      "tasks_gradnorm_alpha": 1.5, "tasks_schedule": "proportional",
      "sampling_mode": "shuffle", "sampling_difficulty": "score", "sampling_range": [0, 1],
      "sampling_weight_field": nil, "sampling_balance_field": nil, "sampling_domain_field": nil,
      "sampling_length_tolerance": 0.2, "sampling_length_mode": "uniform", "curriculum_strategy": "none",
      "curriculum_initial": nil, "curriculum_final": 1, "curriculum_steps": nil, "curriculum_warmup": 0,
      "curriculum_target": 0.7, "curriculum_delta": 0.05, "curriculum_patience": nil,
      "curriculum_stages": [],
    ]
    #expect(try read("").json() == expected)
    #expect(Set(NestedLearningConfig.keys.map(\.name)).count == NestedLearningConfig.keys.count)
  }

  /// Both keys for one thing: what they say together, or an error that names both.
  @Test func arithmeticAndMixedPrecision() throws {
    #expect(try read("").arithmetic == nil)
    #expect(try read(#""arithmetic": "bf16_tiles", "mixed_precision": "amx""#).arithmetic == .bf16Tiles)
    #expect(try read(#""arithmetic": "bf16_dot", "mixed_precision": true"#).arithmetic == .bf16Dot)
    #expect(try read(#""arithmetic": "f32_tiles", "mixed_precision": false"#).arithmetic == .f32Tiles)
    for wrong in [
      #""arithmetic": "f32", "mixed_precision": true"#,
      #""arithmetic": "bf16_dot", "mixed_precision": "amx""#,
      #""arithmetic": "auto", "mixed_precision": true"#,
      #""arithmetic": "bf16_tiles", "mixed_precision": false"#,
    ] {
      let error = #expect(throws: ConfigError.self, "\(wrong)") { try read(wrong) }
      let text = error?.description ?? ""
      #expect(text.contains("arithmetic") && text.contains("mixed_precision"), "\(text)")
    }
    #expect(throws: ConfigError.self) { try read(#""arithmetic": "amx""#) }
  }

  /// Every key away from its default, so that one which is read into the wrong property shows.
  @Test func everyKeyIsReadAndWritten() throws {
    let all = """
      {"preset": "quick", "base_model_path": "/m", "adapter_path": "/a", "trainable": "lora", "lora_rank": 4, "lora_alpha": 12.5,
      "lora_dropout": 0.1, "use_rslora": true, "lora_target_modules": ["v_proj", "q_proj"],
      "exclude_modules": ["layers.0.self_attn.q_proj"], "layers_to_transform": [0, 2], "num_layers": 3,
      "rank_pattern": {"v_proj": 2}, "alpha_pattern": {"layers.[12].*": 0.5}, "long_rows": "split",
      "modules_to_save": ["lm_head"], "add_tokens": ["<a>", "é"], "train_on": "all", "packing": true, "chat_template_date": "2026-11-29",
      "arithmetic": "f32_tiles", "mixed_precision": false, "activation_checkpointing": "layer", "loss_every": 6, "train_data_path": "/d", "val_data_path": "/v", "max_seq_length": 64,
      "shuffle": false, "skip_unusable_rows": true, "batch_size": 3, "gradient_accumulation_steps": 5,
      "sampling_mode": "balanced", "sampling_difficulty": "score", "sampling_range": [0, 1], "sampling_weight_field": null,
      "sampling_balance_field": "label", "sampling_domain_field": null, "sampling_length_tolerance": 0.2,
      "sampling_length_mode": "uniform", "curriculum_strategy": "none", "curriculum_initial": null, "curriculum_final": 1,
      "curriculum_steps": null, "curriculum_warmup": 0, "curriculum_target": 0.7, "curriculum_delta": 0.05,
      "curriculum_patience": null, "curriculum_stages": [],
      "loss": "eaft", "replay": "self", "replay_data_path": null, "replay_fraction": 0.75, "replay_at": "boundaries",
      "replay_targets": "hard", "self_replay_samples": 7, "self_replay_tokens": 9, "self_replay_prompts": ["A", "B c"],
      "self_replay_prompted": 0.125, "kl_to_base": 0, "kl_on": "all",
      "ewc_lambda": 0.5, "ewc_rows": 17, "ewc_data_path": "/f", "l2_sp_lambda": 0.25, "tasks": null,
      "tasks_weighting": "equal", "tasks_weighting_rate": 0.025,
      "tasks_gradnorm_alpha": 1.5, "tasks_schedule": "proportional",
      "tier_mode": "layers", "consolidate_alpha": 0.5, "consolidate_moments": "keep", "anchor": 0,
      "num_tiers": 2, "tier_update_frequencies": [2, 8], "tier_assignment_strategy": "manual",
      "tier_order": "deep_fast", "manual_tier_map": [{"pattern": "*.q_proj", "tier": 1}], "default_tier": 0,
      "module_type_tiers": null, "tier_seed": null, "importance_steps": 100, "tier_phase": [1, 5],
      "inactive_gradients": "mean", "tier_lr_scale": [1, 0.5], "flush_every": 3, "optimizer": "adamw",
      "learning_rate": 0.001, "lr_schedule": "cosine", "warmup_steps": 7, "weight_decay": 0.01, "beta1": 0.8,
      "beta2": 0.95, "eps": 1e-06, "max_grad_norm": 2.5, "num_steps": 77, "seed": 9, "verify_fraction": 0.25, "eval_every": 11,
      "early_stop": false, "patience": 2, "min_delta": 0.01, "checkpoint_every": 13, "save_best_only": true,
      "keep_last_n_checkpoints": 1, "select_scale": false, "scale_tolerance": 0.01, "output_path": "/o", "experiment_name": "e",
      "lr_end": 1e-06, "lr_power": 1, "plateau_factor": 0.5, "plateau_patience": 5, "freeze": ["embeddings", "0-2", "4"],
      "unfreeze": "none", "unfreeze_schedule": {"2": 3, "step 9": 4}, "layer_lr_decay": 0.5, "lr_groups": {"*.lora_b": 16},
      "adaptation_domains": null, "adaptation_domain_field": "domain", "adaptation_adversary": 0,
      "adaptation_adversary_alpha": 10, "adaptation_norms": "none"}
      """
    let config = try NestedLearningConfig(text: all, file: "x.json", format: .json)
    #expect(config.json() == (try JSONValue(parsing: all)))
    #expect(config.json().object?.members.count == NestedLearningConfig.keys.count)
    let again = try NestedLearningConfig(text: config.json().text, file: "y.json", format: .json)
    #expect(again.json() == config.json())
    #expect(config.explicitKeys == Set(NestedLearningConfig.keys.map(\.name)))
  }

  /// Keys of other strategies than that of the config with every key.
  @Test(arguments: [
    #""tier_assignment_strategy": "random", "tier_seed": 3"#,
    #""tier_mode": "consolidate", "consolidate_alpha": 0.25, "consolidate_moments": "reset", "anchor": 0.125"#,
    #""tier_mode": "consolidate", "consolidate_alpha": [0.25, 1], "consolidate_moments": "interpolate""#,
    #""kl_to_base": 0.5, "replay_targets": "soft", "replay_data_path": "/r""#,
    #""tier_assignment_strategy": "module_type", "module_type_tiers": {"attention": 2, "mlp": 1, "q_proj": 0}"#,
    #""tier_phase": "staggered""#,
    #"""
    "tasks": [{"name": "a-1", "type": "classification", "labels": ["x", "y"], "hidden_size": 9, "dropout": 0.25},
    {"name": "b_2", "type": "token_classification", "labels": ["x", "z"]}, {"name": "c", "type": "language_modeling"}],
    "tasks_weighting": "uncertainty", "tasks_weighting_rate": 0.5, "tasks_schedule": "round_robin"
    """#,
  ])
  func keysOfStrategiesAreReadAndWritten(members: String) throws {
    let config = try read(members)
    let given = try JSONValue(parsing: "{\(members)}")
    for member in given.object?.members ?? [] { #expect(config.json()[member.key] == member.value) }
    #expect(
      try NestedLearningConfig(text: config.json().text, file: "y.json", format: .json).json()
        == config.json())
  }

  /// Modules as PEFT and mlx-lm name them.
  @Test func modulesOfFreshAdapters() throws {
    #expect(try read(#""lora_target_modules": "all-linear""#).loraTargetPattern == "all-linear")
    #expect(try read(#""lora_target_modules": ".*q_proj""#).json()["lora_target_modules"] == ".*q_proj")
    #expect(
      try read(#""lora_target_modules": ["layers.0.self_attn.q_proj", "mlp.up_proj"]"#).loraTargetModules
        == ["layers.0.self_attn.q_proj", "mlp.up_proj"])
    #expect(try read(#""exclude_modules": ".*k_proj""#).excludeModules == .pattern(".*k_proj"))
    #expect(try read(#""exclude_modules": []"#).excludeModules == nil)
    #expect(try read(#""num_layers": -1"#).numLayers == nil)
    #expect(try read(#""layers_to_transform": 3"#).layersToTransform == [3])
    for wrong in [
      #""lora_target_modules": ["lm_head"]"#, #""rank_pattern": {"q_proj": 0}"#, #""rank_pattern": 4"#,
      #""alpha_pattern": {"q_proj": -1}"#, #""layers_to_transform": ["a"]"#, #""exclude_modules": 3"#,
    ] {
      #expect(throws: ConfigError.self, "\(wrong)") { try read(wrong) }
    }
  }

  /// The reference is the same config in JSON.
  @Test func yamlReadsAsJSONDoes() throws {
    let yaml = """
      # A comment
      base_model_path: m
      train_data_path: "d"   # another
      learning_rate: 1e-4
      tier_update_frequencies: [1, 4,
        16]
      adapter_path: ~
      experiment_name: '007'
      shuffle: false
      tier_lr_scale:
        - 1
        - .5
        - 0.25
      tier_assignment_strategy: manual
      manual_tier_map:
        - {pattern: "*.q_proj", tier: 0}
        - pattern: '*.k_proj'
          tier: 2
      default_tier: 1
      """
    let json = """
      "learning_rate": 1e-4, "tier_update_frequencies": [1, 4, 16], "adapter_path": null,
      "experiment_name": "007", "shuffle": false, "tier_lr_scale": [1, 0.5, 0.25],
      "tier_assignment_strategy": "manual", "default_tier": 1,
      "manual_tier_map": [{"pattern": "*.q_proj", "tier": 0}, {"pattern": "*.k_proj", "tier": 2}]
      """
    let config = try NestedLearningConfig(text: yaml, file: "a.yaml", format: .yaml)
    #expect(config.json() == (try read(json).json()))
    #expect(config.explicitKeys == (try read(json).explicitKeys))
  }

  @Test func valuesOfTheRightKindAreRead() throws {
    #expect(try read(#""max_grad_norm": null"#).maxGradNorm == nil)
    #expect(try read(#""max_grad_norm": 0"#).maxGradNorm == nil)
    #expect(try read(#""num_tiers": 1"#).tierUpdateFrequencies == [1])
    #expect(try read(#""tier_lr_scale": "inverse_frequency""#).tierLrScale == .inverseFrequency)
    let object = try read(
      #""tier_assignment_strategy": "manual", "manual_tier_map": {"*.q_proj": 0, "*.v_proj": 2}"#)
    #expect(object.manualTierMap?.isOrdered == false)
    #expect(object.manualTierMap?.entries.map(\.tier) == [0, 2])
  }

  @Test func flagsWinOverTheFile() throws {
    let config = try read(
      #""batch_size": "broken", "seed": 1"#,
      [("batch_size", 4), ("output_path", "o"), ("val_data_path", "/v")])
    #expect(config.batchSize == 4)
    #expect(config.seed == 1)
    #expect(
      config.explicitKeys == [
        "base_model_path", "train_data_path", "batch_size", "seed", "output_path", "val_data_path",
      ])
    #expect(config.flagKeys == ["batch_size", "output_path", "val_data_path"])
  }

  @Test func pathsAreRelativeToWhatNamesThem() throws {
    var config = try read(#""adapter_path": "/abs/a""#, [("train_data_path", "./x/../d.jsonl")])
    config.resolvePaths(fileFolder: "/configs/", workingFolder: "/home/u")
    #expect(config.baseModelPath == "/configs/m")
    #expect(config.adapterPath == "/abs/a")
    #expect(config.trainDataPath == "/home/u/x/../d.jsonl")
    #expect(config.outputPath == "/home/u/runs")
    #expect(config.valDataPath == nil)
    var named = try read(#""output_path": "./out""#)
    named.resolvePaths(fileFolder: "/configs", workingFolder: "/home/u")
    #expect(named.outputPath == "/configs/out")
  }

  /// A path, or a list of paths with weights, which are relative like one.
  @Test func trainingDataMayBeAList() throws {
    let list = #""train_data_path": ["a.jsonl", {"path": "/b", "weight": 2.5}, {"path": "c"}]"#
    var config = try NestedLearningConfig(
      text: "{\"base_model_path\": \"m\", \(list)}", file: "x.json", format: .json)
    config.resolvePaths(fileFolder: "/configs", workingFolder: "/home/u")
    #expect(
      config.trainDataFiles == [
        WeightedPath(path: "/configs/a.jsonl"), WeightedPath(path: "/b", weight: 2.5),
        WeightedPath(path: "/configs/c"),
      ])
    #expect(config.trainDataPath == "/configs/a.jsonl")
    let written = try #require(config.json().object)
    let again = try NestedLearningConfig(object: written, file: "x.json")
    #expect(again.trainDataFiles == config.trainDataFiles)
    for (wrong, reason) in [
      ("[]", "must be a path, or a list of paths with weights, not a list"),
      (#"[{"path": "a", "weight": 0}]"#, "must be a weight above 0, of at most 1000000, not 0"),
      (#"[{"weight": 2}]"#, "must be an object of path and weight, not null"),
      (#"[{"path": "a", "size": 2}]"#, #"has an unknown key "size" in an entry"#),
      ("7", "must be a path, or a list of paths with weights, not 7"),
    ] {
      let error = #expect(throws: ConfigError.self) {
        try NestedLearningConfig(
          text: "{\"base_model_path\": \"m\", \"train_data_path\": \(wrong)}", file: "x.json", format: .json)
      }
      #expect(error?.reason == reason && error?.key == "train_data_path")
    }
  }

  /// Rows to evaluate on count once each, so that there are no weights.
  @Test func validationDataMayBeAList() throws {
    var config = try read(#""val_data_path": ["a.jsonl", {"path": "/b"}]"#)
    config.resolvePaths(fileFolder: "/configs", workingFolder: "/home/u")
    #expect(config.valDataFiles == ["/configs/a.jsonl", "/b"] && config.valDataPath == "/configs/a.jsonl")
    let again = try NestedLearningConfig(object: #require(config.json().object), file: "x.json")
    #expect(again.valDataFiles == config.valDataFiles && again.valDataPath == config.valDataPath)
    for (wrong, reason) in [
      ("[]", "must be a path, or a list of paths, not a list"),
      (#"[{"path": "a", "weight": 2}]"#, "has a weight, but each row counts once in an evaluation"),
    ] {
      let error = #expect(throws: ConfigError.self) { try read("\"val_data_path\": \(wrong)") }
      #expect(error?.reason == reason && error?.key == "val_data_path")
    }
    #expect(try read(#""val_data_path": null"#).valDataPath == nil)
  }

  @Test func daysAreDays() throws {
    #expect(try read(#""chat_template_date": "2026-02-28""#).chatTemplateDate == "2026-02-28")
    for wrong in [#""28 Feb""#, #""2026-2-28""#, "2026", #""2026-02-28T10""#] {
      #expect(throws: ConfigError.self) { try read(#""chat_template_date": \#(wrong)"#) }
    }
  }
}

@Suite struct ConfigErrorTests {
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
    #expect(failure { try read(member) } == "runs/a.json:2: \(message)")
  }

  @Test func missingKeysAreNamed() {
    let empty = failure { try NestedLearningConfig(text: "{}", file: "a.json", format: .json) }
    #expect(empty == "a.json: base_model_path: is missing; give it in the file or as --base-model-path")
    let map = failure { try read(#""tier_assignment_strategy": "manual""#) }
    let types = failure { try read(#""tier_assignment_strategy": "module_type""#) }
    #expect(
      types.hasPrefix("runs/a.json: module_type_tiers: is missing: attention and the rest make two tiers"))
    #expect(
      map == "runs/a.json: manual_tier_map: is missing, and tier_assignment_strategy manual needs it; "
        + #"give a list such as [{"pattern": "*.q_proj", "tier": 0}]"#)
  }

  @Test func partsOfTheTierMapHaveTheirOwnLine() {
    let list = failure {
      try read("\"manual_tier_map\": [\n{\"pattern\": \"*\", \"tier\": 0},\n{\"pattern\": 1}]")
    }
    #expect(list.hasPrefix("runs/a.json:4: manual_tier_map: must give a pattern (a string) and a tier"))
    let object = failure { try read("\"manual_tier_map\": {\n\"a\": 0,\n\n\"b\": \"c\"}") }
    #expect(object.hasPrefix("runs/a.json:5: manual_tier_map: must give a pattern"))
  }

  @Test func brokenTextHasItsLine() {
    let json = failure { try read(#""seed": 1,,"#) }
    #expect(json == "runs/a.json:2: not JSON: unexpected ','; a key in quotes was expected (column 11)")
    let twice = failure { try read("\"seed\": 1,\n\"seed\": 2") }
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
    let value = failure { try read("", [("tier_update_frequencies", [4, 2, 1])]) }
    #expect(value.hasPrefix("the command line: --tier-update-frequencies: [4, 2, 1] descends"))
  }

  @Test func keysThatDoNotGoTogetherAreRefused() {
    let full = failure { try read(#""trainable": "full", "adapter_path": "a""#) }
    #expect(full.hasPrefix("runs/a.json:2: adapter_path: an adapter cannot be loaded with trainable full"))
    #expect(throws: ConfigError.self) { try config { $0.numTiers = 2 }.validate() }
  }
}
