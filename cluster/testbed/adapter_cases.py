"""The adapters that cluster/testbed/adapters.sh makes: settings of peft's LoraConfig and of mlx-lm's."""

P = dict(r=3, lora_alpha=6)
Q = dict(target_modules=["q_proj", "v_proj"])

# name, model, settings of LoraConfig, and what is done beside: rename (of tensors), drop (tensors whose names have this),
# tokens (so many are added to the model first), keys (added to adapter_config.json).
PEFT = [
    ("regex over two kinds of layers", "llama", dict(P, target_modules=r".*layers\.[0-1]\.self_attn\.q_proj|.*layers\.[2-3]\.mlp\.down_proj"), {}),
    ("regex with look-ahead", "qwen2", dict(P, target_modules=r"model\.layers\.(?!0)\d+\.(self_attn|mlp)\.(q|k|v|up)_proj"), {}),
    ("regex with a named group", "qwen3", dict(P, target_modules=r".*\.(?P<part>self_attn|mlp)\.(?:k_proj|gate_proj)"), {}),
    ("regex with classes and counts", "mistral", dict(P, target_modules=r"^model\.layers\.[13]{1}\.[a-z_]+\.[a-z]+_proj$"), {}),
    ("list", "qwen3", dict(P, **Q), {}),
    ("all-linear", "llama", dict(P, target_modules="all-linear"), {}),
    ("all-linear, untied", "qwen2", dict(P, target_modules="all-linear"), {}),
    ("all-linear without some", "qwen3 untied", dict(P, target_modules="all-linear", exclude_modules=["o_proj", "layers.2.mlp.up_proj"]), {}),
    ("whole paths", "qwen2", dict(P, target_modules=["model.layers.1.mlp.up_proj", "model.layers.3.self_attn.o_proj", "layers.0.mlp.down_proj"]), {}),
    ("ends of paths", "llama biases", dict(P, target_modules=["self_attn.q_proj", "mlp.gate_proj", "2.self_attn.o_proj"]), {}),
    ("one module alone", "mistral", dict(P, target_modules=["model.layers.2.self_attn.k_proj"]), {}),
    ("names that no model has", "qwen2", dict(P, target_modules=["q_proj", "query_key_value", "W_pack", "c_attn", "fc1"]), {}),
    ("exclude a list", "qwen2", dict(P, **Q, exclude_modules=["layers.0.self_attn.q_proj"]), {}),
    ("exclude a regex", "qwen3", dict(P, target_modules=r".*\.(q|k)_proj", exclude_modules=r".*\.[13]\..*k_proj"), {}),
    ("layers_to_transform", "llama", dict(P, target_modules=["k_proj", "up_proj"], layers_to_transform=[1, 3]), {}),
    ("layers_to_transform, one number", "qwen2", dict(P, target_modules=["k_proj"], layers_to_transform=2), {}),
    ("layers_pattern", "qwen3", dict(P, target_modules=["down_proj", "q_proj"], layers_to_transform=[0, 4], layers_pattern="layers"), {}),
    ("layers_pattern, a list", "mistral", dict(P, target_modules=["v_proj"], layers_to_transform=[0, 2], layers_pattern=["h", "layers"]), {}),
    ("layer 0 alone", "qwen2 tied bf16", dict(P, target_modules=["o_proj", "gate_proj"], layers_to_transform=[0]), {}),
    ("rank_pattern", "qwen2", dict(P, target_modules=["q_proj", "v_proj", "down_proj"], rank_pattern={"v_proj": 5, "layers.2.mlp.down_proj": 2}), {}),
    ("alpha_pattern", "llama", dict(P, target_modules=["q_proj", "down_proj"], alpha_pattern={r".*\.0\.self_attn\.q_proj": 1, "down_proj": 9}), {}),
    ("both patterns, anchored", "qwen3", dict(P, target_modules="all-linear", rank_pattern={r"^model\.layers\.[02]\..*_proj": 4, "k_proj": 1}, alpha_pattern={"^model.layers.1.mlp.up_proj": 20, "mlp.*": 3}), {}),
    # In the order of the alphabet, as peft writes keys; in another order peft does not read its own adapter.
    ("patterns of which the first counts", "mistral", dict(P, **Q, rank_pattern={r"layers\.1\.self_attn\.q_proj": 2, "q_proj": 7}), {}),
    ("rsLoRA", "llama untied", dict(P, target_modules=["gate_proj", "o_proj"], use_rslora=True), {}),
    ("rsLoRA with ranks", "qwen2 tied bf16", dict(P, target_modules=["gate_proj", "o_proj"], use_rslora=True, rank_pattern={r"^model\.layers\.[02]\..*": 4}), {}),
    ("alpha that is no whole number", "qwen3", dict(r=5, lora_alpha=2.75, lora_dropout=0.25, target_modules=["v_proj", "up_proj"]), {}),
    ("a head of its own", "qwen2", dict(P, **Q, modules_to_save=["lm_head"]), {}),
    ("embedding and head", "mistral", dict(P, **Q, modules_to_save=["embed_tokens", "lm_head"]), {}),
    ("the embedding of a tied model", "llama", dict(P, **Q, modules_to_save=["embed_tokens"]), {}),
    ("the embedding of a tied model, tied", "qwen3", dict(P, **Q, modules_to_save=["embed_tokens"], ensure_weight_tying=True), {}),
    ("the head of a tied model", "qwen2 tied bf16", dict(P, **Q, modules_to_save=["lm_head"]), {}),
    ("embedding and head of a tied model", "llama", dict(P, **Q, modules_to_save=["lm_head", "embed_tokens"]), {}),
    ("the norms", "llama", dict(P, **Q, modules_to_save=["norm", "input_layernorm"]), {}),
    ("norms of heads", "qwen3 untied", dict(P, **Q, modules_to_save=["q_norm"]), {}),
    ("a projection as a whole", "llama biases", dict(P, **Q, modules_to_save=["layers.1.mlp.down_proj", "layers.0.self_attn.k_proj"]), {}),
    ("saved and with patterns", "qwen2", dict(P, target_modules="all-linear", rank_pattern={"down_proj": 6}, modules_to_save=["norm", "lm_head"]), {}),
    ("two tokens more, untied", "qwen2", dict(P, **Q), dict(tokens=2)),
    ("two tokens more, tied", "llama", dict(P, **Q), dict(tokens=2)),
    ("two tokens more, saved", "mistral", dict(P, **Q, modules_to_save=["embed_tokens", "lm_head"]), dict(tokens=2)),
    ("names with .default.", "qwen2", dict(P, **Q), dict(rename=".default.weight")),
    ("names with another adapter's", "llama", dict(P, **Q), dict(rename=".my_run.weight")),
    ("pairs that are left out", "qwen3", dict(P, **Q), dict(drop=["layers.1.self_attn.q_proj", "layers.2"])),
    ("keys that are off", "qwen2", dict(P, **Q), dict(keys=dict(future_flag=False, future_number=0, future_text="", future_choice="none", future_list=[], future_object={}, future_nothing=None))),
    ("other ways to begin", "qwen3", dict(P, **Q, init_lora_weights="gaussian"), {}),
    ("orthogonal beginning", "mistral", dict(r=4, lora_alpha=6, **Q, init_lora_weights="orthogonal"), {}),
    ("biases of the model", "llama biases", dict(P, target_modules="all-linear"), {}),
]

# name, model, the key that the message must have, settings, keys added to adapter_config.json.
REFUSED = [
    ("DoRA", "llama", "use_dora", dict(P, **Q, use_dora=True), {}),
    ("biases, all", "qwen2", "bias", dict(P, **Q, bias="all"), {}),
    ("biases, of the pairs' modules", "qwen2", "bias", dict(P, **Q, bias="lora_only"), {}),
    ("biases of B", "llama", "lora_bias", dict(P, target_modules=["q_proj"], lora_bias=True), {}),
    ("single rows of the embedding", "qwen2", "trainable_token_indices", dict(P, **Q, trainable_token_indices=[1, 5]), {}),
    ("LoRA on the embedding", "qwen2", "embed_tokens", dict(P, target_modules=["q_proj", "embed_tokens"]), {}),
    ("LoRA on the head", "qwen2", "lm_head", dict(P, target_modules=["q_proj", "lm_head"]), {}),
    ("LoRA on parameters", "llama", "target_parameters", dict(P, target_modules=["q_proj"], target_parameters=["mlp.gate_proj.weight"]), {}),
    ("layers that are repeated", "llama", "layer_replication", dict(P, **Q, layer_replication=[[0, 2], [1, 4]]), {}),
    ("PiSSA", "llama", "init_lora_weights", dict(P, **Q, init_lora_weights="pissa"), {}),
    ("OLoRA", "llama", "init_lora_weights", dict(P, **Q, init_lora_weights="olora"), {}),
    ("activated LoRA", "llama", "alora_invocation_tokens", dict(P, **Q, alora_invocation_tokens=[3, 4]), {}),
    ("a key of the future that is on", "llama", "future_flag", dict(P, **Q), dict(future_flag=True)),
    ("(IA)³", "llama", "peft_type", "IA3", {}),
    ("LoHa", "qwen3", "peft_type", "LOHA", {}),
    ("VeRA", "qwen2", "peft_type", "VERA", {}),
]

L = dict(rank=2, scale=2.0, dropout=0.0)

# name, model, num_layers, lora_parameters, and what is done beside: drop (tensors whose names have this), keys (changed in
# adapter_config.json; None: taken out).
MLX = [
    ("the last layers, without keys", "qwen2", 2, L, {}),
    ("all layers, -1", "qwen3", -1, L, {}),
    ("one layer", "llama", 1, dict(L, scale=20.0), {}),
    ("some keys", "mistral", 3, dict(L, keys=["self_attn.q_proj", "self_attn.v_proj"]), {}),
    ("keys of both halves", "qwen3 untied", 2, dict(L, keys=["self_attn.o_proj", "mlp.down_proj", "mlp.gate_proj"]), {}),
    ("keys that no model has", "qwen2", 2, dict(L, keys=["self_attn.q_proj", "self_attn.qkv_proj", "mlp.gate"]), {}),
    ("a scale that is no whole number", "llama untied", 4, dict(rank=7, scale=0.37, dropout=0.1, keys=["mlp.up_proj"]), {}),
    ("tensors of some layers", "qwen2", 4, L, dict(drop=["layers.1", "layers.3.mlp"])),
    ("tensors of some modules, without keys", "llama", 4, L, dict(drop=["mlp", "k_proj", "o_proj"])),
    ("without fine_tune_type", "qwen3", 2, dict(L, keys=["self_attn.k_proj"]), dict(keys=dict(fine_tune_type=None))),
    ("a large rank", "mistral", 2, dict(L, rank=40), {}),
    ("the whole of mlx-lm's settings", "qwen2", 2, L, dict(keys=dict(batch_size=4, iters=1000, seed=0, optimizer="adam", train=True, grad_checkpoint=False, mask_prompt=False, lr_schedule=None, data="data", max_seq_length=2048))),
    ("biases of the model", "llama biases", 4, L, {}),
    ("tied and bf16", "qwen2 tied bf16", -1, dict(L, keys=["self_attn.q_proj", "mlp.up_proj"]), {}),
]

MLX_REFUSED = [
    ("DoRA by mlx-lm", "llama", "fine_tune_type", "dora"),
    ("all weights by mlx-lm", "llama", "fine_tune_type", "full"),
]

# name, model, keys of a config: runs of two steps whose checkpoints are read there, in both forms where both can hold them.
RUNS = [
    ("a regex", "llama", dict(lora_target_modules=r".*layers\.[12]\.(self_attn\.q|mlp\.up)_proj")),
    ("excluded modules", "qwen2", dict(exclude_modules=["layers.0.self_attn.q_proj", "down_proj"])),
    ("layers in between", "qwen3", dict(layers_to_transform=[1, 3], lora_target_modules=["q_proj", "gate_proj"])),
    ("the last two", "mistral", dict(num_layers=2)),
    ("ranks and alphas", "qwen2", dict(rank_pattern={"v_proj": 5, r"layers\.1\..*": 3}, alpha_pattern={"down_proj": 3})),
    ("rsLoRA with ranks", "llama untied", dict(use_rslora=True, rank_pattern={"q_proj": 2})),
    ("head and norms as a whole", "qwen3 untied", dict(modules_to_save=["lm_head", "norm"])),
    ("the embedding of a tied model", "llama", dict(modules_to_save=["embed_tokens"])),
    ("new tokens, untied", "qwen2", dict(add_tokens=["<tool>", "</tool>"])),
    ("new tokens, tied", "qwen3", dict(add_tokens=["<tool>"])),
]
