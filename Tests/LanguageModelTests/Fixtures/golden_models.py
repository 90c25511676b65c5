"""Five tiny random models, one of each supported architecture, with a tokenizer and a LoRA adapter each.

Weights are drawn so that every part matters: norms are not all ones, biases are not zero, attention is peaked
enough that a wrong mask or a wrong rotation shows in the logits.
"""

import json
import os
import shutil

import torch
from safetensors.torch import save_file
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import AutoConfig, AutoModelForCausalLM

HERE = os.path.dirname(os.path.abspath(__file__))
PROJECTIONS = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
TOKENIZER_SIZE = 300

QWEN2_SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
LLAMA3_SPLIT = QWEN2_SPLIT.replace(r"\p{N}|", r"\p{N}{1,3}|", 1)

# Each config.json is written as given here, so both spellings are covered: transformers 5 (`rope_parameters`,
# `dtype`) and the older one (`rope_theta`, `rope_scaling`, `torch_dtype`).
SPECS = {
    "qwen2_f32": dict(
        config=dict(
            architectures=["Qwen2ForCausalLM"], model_type="qwen2", dtype="float32", hidden_act="silu",
            hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=TOKENIZER_SIZE, max_position_embeddings=128, rms_norm_eps=1e-6,
            rope_parameters=dict(rope_theta=10000.0, rope_type="default"), tie_word_embeddings=False,
            sliding_window=None, use_sliding_window=False, max_window_layers=4,
            layer_types=["full_attention"] * 4, bos_token_id=None, eos_token_id=298, use_cache=True,
            transformers_version="5.23.0"),
        dtype=torch.float32, tokenizer="qwen2", lora=dict(r=4, lora_alpha=10)),
    # Old spelling, tied, more embedding rows than token ids, a sliding window on layers 2 and 3 only.
    "qwen2_bf16": dict(
        config=dict(
            architectures=["Qwen2ForCausalLM"], model_type="qwen2", torch_dtype="bfloat16", hidden_act="silu",
            hidden_size=48, intermediate_size=64, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=320, max_position_embeddings=128, rms_norm_eps=1e-6,
            rope_theta=1000000.0, tie_word_embeddings=True, sliding_window=6, use_sliding_window=True,
            max_window_layers=2, attention_dropout=0.0, bos_token_id=298, eos_token_id=298,
            initializer_range=0.02, use_cache=True, transformers_version="4.43.1"),
        dtype=torch.bfloat16, tokenizer="qwen2", lora=dict(r=8, lora_alpha=16)),
    # head_dim is not hidden/heads; two shards and an index; five layers, which three tiers do not divide.
    "qwen3": dict(
        config=dict(
            architectures=["Qwen3ForCausalLM"], model_type="qwen3", torch_dtype="float32", hidden_act="silu",
            hidden_size=32, intermediate_size=40, num_hidden_layers=5, num_attention_heads=4, head_dim=16,
            num_key_value_heads=2, vocab_size=TOKENIZER_SIZE, max_position_embeddings=128, rms_norm_eps=1e-6,
            rope_theta=1000000, rope_scaling=None, tie_word_embeddings=True, attention_bias=False,
            attention_dropout=0.0, sliding_window=None, use_sliding_window=False, max_window_layers=5,
            bos_token_id=298, eos_token_id=298, use_cache=True, transformers_version="4.51.0"),
        dtype=torch.float32, tokenizer="qwen2_with_eos", lora=dict(r=4, lora_alpha=6, use_rslora=True), shards=2),
    # llama3 scaling with head_dim 16 and 64 original positions: wavelengths 6.3 (kept), 19.9 and 62.8 (between),
    # 198 and longer (divided).
    "llama": dict(
        config=dict(
            architectures=["LlamaForCausalLM"], model_type="llama", dtype="float32", hidden_act="silu",
            hidden_size=32, intermediate_size=52, num_hidden_layers=4, num_attention_heads=2, head_dim=16,
            num_key_value_heads=1, vocab_size=TOKENIZER_SIZE, max_position_embeddings=512, rms_norm_eps=1e-5,
            rope_parameters=dict(rope_theta=10000.0, rope_type="llama3", factor=8.0, low_freq_factor=1.0,
                                 high_freq_factor=4.0, original_max_position_embeddings=64),
            tie_word_embeddings=True, attention_bias=False, mlp_bias=False, attention_dropout=0.0,
            pretraining_tp=1, bos_token_id=298, eos_token_id=299, use_cache=True, transformers_version="5.23.0"),
        dtype=torch.float32, tokenizer="llama3", lora=dict(r=4, lora_alpha=8)),
    # The end-of-text id is found only in generation_config.json, where it is a list.
    "mistral": dict(
        config=dict(
            architectures=["MistralForCausalLM"], model_type="mistral", torch_dtype="float32", hidden_act="silu",
            hidden_size=32, intermediate_size=48, num_hidden_layers=4, num_attention_heads=4,
            num_key_value_heads=2, vocab_size=TOKENIZER_SIZE, max_position_embeddings=128, rms_norm_eps=1e-5,
            rope_theta=10000.0, sliding_window=5, tie_word_embeddings=False, attention_dropout=0.0,
            bos_token_id=1, eos_token_id=2, use_cache=True, transformers_version="4.42.0"),
        dtype=torch.float32, tokenizer="smollm", lora=dict(r=5, lora_alpha=4)),
}


def model_folder(name):
    return os.path.join(HERE, "models", name)


def adapter_folder(name):
    return os.path.join(HERE, "adapters", name)


def write_json(path, value):
    with open(path, "w", encoding="utf-8") as f:
        json.dump(value, f, indent=2, ensure_ascii=False)
        f.write("\n")


def read_texts(file):
    with open(os.path.join(HERE, "data", file), encoding="utf-8") as f:
        return [json.loads(line)["text"] for line in f]


def draw(name, shape, generator):
    x = torch.randn(shape, generator=generator, dtype=torch.float32)
    if "norm" in name:
        return 1 + 0.2 * x
    if name.endswith(".bias"):
        return 0.3 * x
    if "embed_tokens" in name or "lm_head" in name:
        return 0.35 * x
    return x * 0.8 / shape[-1] ** 0.5


def make_tokenizer(style, texts):
    """A byte-level BPE tokenizer of 300 ids: 256 bytes, 42 merges, two special tokens."""
    tokenizer = Tokenizer(models.BPE(ignore_merges=style == "llama3"))
    if style.startswith("qwen2"):
        tokenizer.normalizer = normalizers.NFC()
    if style == "smollm":
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    else:
        pattern = LLAMA3_SPLIT if style == "llama3" else QWEN2_SPLIT
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
            pre_tokenizers.Split(Regex(pattern), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=TOKENIZER_SIZE - 2, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False))
    special = ["<|begin_of_text|>", "<|end_of_text|>"] if style == "llama3" else ["<|endoftext|>", "<|im_end|>"]
    tokenizer.add_special_tokens(special)
    byte_level = processors.ByteLevel(trim_offsets=False)
    if style == "llama3":
        tokenizer.post_processor = processors.Sequence([byte_level, processors.TemplateProcessing(
            single="<|begin_of_text|> $A", pair="<|begin_of_text|> $A <|begin_of_text|> $B",
            special_tokens=[("<|begin_of_text|>", tokenizer.token_to_id("<|begin_of_text|>"))])])
    elif style == "qwen2_with_eos":
        tokenizer.post_processor = processors.Sequence([byte_level, processors.TemplateProcessing(
            single="$A <|endoftext|>", pair="$A <|endoftext|> $B <|endoftext|>",
            special_tokens=[("<|endoftext|>", tokenizer.token_to_id("<|endoftext|>"))])])
    else:
        tokenizer.post_processor = byte_level
    assert tokenizer.get_vocab_size() == TOKENIZER_SIZE
    return tokenizer


def write_tokenizer(style, texts, folder):
    tokenizer = make_tokenizer(style, texts)
    tokenizer.save(os.path.join(folder, "tokenizer.json"))
    config = dict(add_prefix_space=False, clean_up_tokenization_spaces=False, model_max_length=128,
                  tokenizer_class="PreTrainedTokenizerFast")
    if style == "llama3":
        config.update(bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>")
    elif style == "qwen2":
        config.update(bos_token=None, eos_token="<|endoftext|>", pad_token="<|endoftext|>")
    elif style == "qwen2_with_eos":
        config.update(eos_token=dict(__type="AddedToken", content="<|endoftext|>", lstrip=False, normalized=False,
                                     rstrip=False, single_word=False, special=True))
    write_json(os.path.join(folder, "tokenizer_config.json"), config)
    if style == "smollm":
        write_json(os.path.join(folder, "generation_config.json"),
                   dict(_from_model_config=True, bos_token_id=298, eos_token_id=[298, 299]))


def write_model(name, spec, texts):
    folder = model_folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_json(os.path.join(folder, "config.json"), spec["config"])
    write_tokenizer(spec["tokenizer"], texts, folder)
    with torch.device("meta"):
        shapes = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder)).state_dict()
    if spec["config"]["tie_word_embeddings"]:
        del shapes["lm_head.weight"]
    generator = torch.Generator().manual_seed(1 + list(SPECS).index(name))
    weights = {k: draw(k, v.shape, generator).to(spec["dtype"]) for k, v in shapes.items()}
    if spec.get("shards"):
        write_shards(weights, folder, spec["shards"])
    else:
        save_file(weights, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})


def write_shards(weights, folder, count):
    names = list(weights)
    weight_map = {}
    for i in range(count):
        file = f"model-{i + 1:05d}-of-{count:05d}.safetensors"
        part = names[i * len(names) // count:(i + 1) * len(names) // count]
        save_file({k: weights[k] for k in part}, os.path.join(folder, file), metadata={"format": "pt"})
        weight_map.update({k: file for k in part})
    total = sum(w.numel() * w.element_size() for w in weights.values())
    write_json(os.path.join(folder, "model.safetensors.index.json"),
               dict(metadata=dict(total_size=total), weight_map=dict(sorted(weight_map.items()))))


def write_adapter(name, spec):
    """A LoRA adapter in PEFT form on all seven projections; B is not zero, so that A has a gradient."""
    folder = adapter_folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    rank = spec["lora"]["r"]
    write_json(os.path.join(folder, "adapter_config.json"), dict(
        base_model_name_or_path=f"models/{name}", bias="none", inference_mode=True, lora_dropout=0.0,
        peft_type="LORA", target_modules=sorted(PROJECTIONS), task_type="CAUSAL_LM", **spec["lora"]))
    with torch.device("meta"):
        base = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(model_folder(name)))
    generator = torch.Generator().manual_seed(101 + list(SPECS).index(name))
    tensors = {}
    for module, layer in base.named_modules():
        if module.split(".")[-1] in PROJECTIONS:
            a = torch.empty(rank, layer.in_features).uniform_(-1, 1, generator=generator)
            tensors[f"base_model.model.{module}.lora_A.weight"] = a / layer.in_features ** 0.5
            tensors[f"base_model.model.{module}.lora_B.weight"] = 0.1 * torch.randn(
                layer.out_features, rank, generator=generator)
    save_file(tensors, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})


def write_all():
    texts = read_texts("train.jsonl")
    for name, spec in SPECS.items():
        write_model(name, spec, texts)
        write_adapter(name, spec)
