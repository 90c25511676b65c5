import JSON
import Testing

@testable import NestedLearning

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
    #expect(try readConfig("").json() == expected)
    #expect(Set(NestedLearningConfig.keys.map(\.name)).count == NestedLearningConfig.keys.count)
  }

  /// Both keys for one thing: what they say together, or an error that names both.
  @Test func arithmeticAndMixedPrecision() throws {
    #expect(try readConfig("").arithmetic == nil)
    #expect(try readConfig(#""arithmetic": "bf16_tiles", "mixed_precision": "amx""#).arithmetic == .bf16Tiles)
    #expect(try readConfig(#""arithmetic": "bf16_dot", "mixed_precision": true"#).arithmetic == .bf16Dot)
    #expect(try readConfig(#""arithmetic": "f32_tiles", "mixed_precision": false"#).arithmetic == .f32Tiles)
    for wrong in [
      #""arithmetic": "f32", "mixed_precision": true"#,
      #""arithmetic": "bf16_dot", "mixed_precision": "amx""#,
      #""arithmetic": "auto", "mixed_precision": true"#,
      #""arithmetic": "bf16_tiles", "mixed_precision": false"#,
    ] {
      let error = #expect(throws: ConfigError.self, "\(wrong)") { try readConfig(wrong) }
      let text = error?.description ?? ""
      #expect(text.contains("arithmetic") && text.contains("mixed_precision"), "\(text)")
    }
    #expect(throws: ConfigError.self) { try readConfig(#""arithmetic": "amx""#) }
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
    let config = try readConfig(members)
    let given = try JSONValue(parsing: "{\(members)}")
    for member in given.object?.members ?? [] { #expect(config.json()[member.key] == member.value) }
    #expect(
      try NestedLearningConfig(text: config.json().text, file: "y.json", format: .json).json()
        == config.json())
  }

  /// Modules as PEFT and mlx-lm name them.
  @Test func modulesOfFreshAdapters() throws {
    #expect(try readConfig(#""lora_target_modules": "all-linear""#).loraTargetPattern == "all-linear")
    #expect(try readConfig(#""lora_target_modules": ".*q_proj""#).json()["lora_target_modules"] == ".*q_proj")
    let listed = try readConfig(#""lora_target_modules": ["layers.0.self_attn.q_proj", "mlp.up_proj"]"#)
    #expect(listed.loraTargetModules == ["layers.0.self_attn.q_proj", "mlp.up_proj"])
    #expect(try readConfig(#""exclude_modules": ".*k_proj""#).excludeModules == .pattern(".*k_proj"))
    #expect(try readConfig(#""exclude_modules": []"#).excludeModules == nil)
    #expect(try readConfig(#""num_layers": -1"#).numLayers == nil)
    #expect(try readConfig(#""layers_to_transform": 3"#).layersToTransform == [3])
    for wrong in [
      #""lora_target_modules": ["lm_head"]"#, #""rank_pattern": {"q_proj": 0}"#, #""rank_pattern": 4"#,
      #""alpha_pattern": {"q_proj": -1}"#, #""layers_to_transform": ["a"]"#, #""exclude_modules": 3"#,
    ] {
      #expect(throws: ConfigError.self, "\(wrong)") { try readConfig(wrong) }
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
    #expect(config.json() == (try readConfig(json).json()))
    #expect(config.explicitKeys == (try readConfig(json).explicitKeys))
  }

  @Test func valuesOfTheRightKindAreRead() throws {
    #expect(try readConfig(#""max_grad_norm": null"#).maxGradNorm == nil)
    #expect(try readConfig(#""max_grad_norm": 0"#).maxGradNorm == nil)
    #expect(try readConfig(#""num_tiers": 1"#).tierUpdateFrequencies == [1])
    #expect(try readConfig(#""tier_lr_scale": "inverse_frequency""#).tierLrScale == .inverseFrequency)
    let object = try readConfig(
      #""tier_assignment_strategy": "manual", "manual_tier_map": {"*.q_proj": 0, "*.v_proj": 2}"#)
    #expect(object.manualTierMap?.isOrdered == false)
    #expect(object.manualTierMap?.entries.map(\.tier) == [0, 2])
  }

  @Test func flagsWinOverTheFile() throws {
    let config = try readConfig(
      #""batch_size": "broken", "seed": 1"#,
      flags: [("batch_size", 4), ("output_path", "o"), ("val_data_path", "/v")])
    #expect(config.batchSize == 4)
    #expect(config.seed == 1)
    #expect(
      config.explicitKeys == [
        "base_model_path", "train_data_path", "batch_size", "seed", "output_path", "val_data_path",
      ])
    #expect(config.flagKeys == ["batch_size", "output_path", "val_data_path"])
  }

  @Test func pathsAreRelativeToWhatNamesThem() throws {
    var config = try readConfig(#""adapter_path": "/abs/a""#, flags: [("train_data_path", "./x/../d.jsonl")])
    config.resolvePaths(fileFolder: "/configs/", workingFolder: "/home/u")
    #expect(config.baseModelPath == "/configs/m")
    #expect(config.adapterPath == "/abs/a")
    #expect(config.trainDataPath == "/home/u/x/../d.jsonl")
    #expect(config.outputPath == "/home/u/runs")
    #expect(config.valDataPath == nil)
    var named = try readConfig(#""output_path": "./out""#)
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
    var config = try readConfig(#""val_data_path": ["a.jsonl", {"path": "/b"}]"#)
    config.resolvePaths(fileFolder: "/configs", workingFolder: "/home/u")
    #expect(config.valDataFiles == ["/configs/a.jsonl", "/b"] && config.valDataPath == "/configs/a.jsonl")
    let again = try NestedLearningConfig(object: #require(config.json().object), file: "x.json")
    #expect(again.valDataFiles == config.valDataFiles && again.valDataPath == config.valDataPath)
    for (wrong, reason) in [
      ("[]", "must be a path, or a list of paths, not a list"),
      (#"[{"path": "a", "weight": 2}]"#, "has a weight, but each row counts once in an evaluation"),
    ] {
      let error = #expect(throws: ConfigError.self) { try readConfig("\"val_data_path\": \(wrong)") }
      #expect(error?.reason == reason && error?.key == "val_data_path")
    }
    #expect(try readConfig(#""val_data_path": null"#).valDataPath == nil)
  }

  @Test func daysAreDays() throws {
    #expect(try readConfig(#""chat_template_date": "2026-02-28""#).chatTemplateDate == "2026-02-28")
    for wrong in [#""28 Feb""#, #""2026-2-28""#, "2026", #""2026-02-28T10""#] {
      #expect(throws: ConfigError.self) { try readConfig(#""chat_template_date": \#(wrong)"#) }
    }
  }
}
