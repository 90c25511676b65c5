"""Makes the golden files of GGUFTests again, with gguf 0.19, transformers 5.24 and numpy:

    python make_gguf.py

types.gguf, types.safetensors   one matrix of each type, and gguf.quants.dequantize of it
split-0000N-of-0000M.gguf       the model qwen2.gguf in parts
NAME.gguf, models.json          three small models; the SHA-256 of the float32 bytes of every tensor as the checkpoint has
                                it, and ids of strings by AutoTokenizer.from_pretrained(gguf_file=NAME.gguf)
../../FuzzTests/Corpus/gguf     what the fuzzer begins with: whole models of a few hundred numbers
"""

import hashlib
import json
import os
import random

import gguf
import numpy as np
import transformers
from gguf import GGMLQuantizationType as T
from random_gguf import QUANTIZABLE, TYPES, encode, strings, write
from safetensors.numpy import save_file
from transformers import AutoTokenizer

transformers.logging.set_verbosity_error()
HERE = os.path.dirname(os.path.abspath(__file__))


def types():
    rng = np.random.default_rng(7)
    writer, expected = gguf.GGUFWriter(os.path.join(HERE, "types.gguf"), "llama"), {}
    for kind in TYPES:
        values = (rng.standard_normal((2, 256)) * np.exp(rng.standard_normal((2, 1)) * 3)).astype(np.float32)
        data, floats = encode(rng, values, kind)
        writer.add_tensor(kind.name, data, raw_dtype=kind)
        expected[kind.name] = floats
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    save_file(expected, os.path.join(HERE, "types.safetensors"))


def models():
    golden = {}
    small = [t for t in QUANTIZABLE if t != T.F32]
    for seed, (name, architecture, tokenizer) in enumerate([
            ("llama", "llama", "sentencepiece"), ("qwen2", "qwen2", "qwen2"), ("qwen3", "qwen3", "smollm")]):
        path = os.path.join(HERE, name + ".gguf")
        tensors = write(path, seed, architecture, tokenizer, types=small, hidden=32, vocabulary=150)
        if name == "qwen2":
            split = os.path.join(HERE, "split.gguf")
            write(split, seed, architecture, tokenizer, types=small, hidden=32, vocabulary=150, tensors_a_part=12)
        reference = AutoTokenizer.from_pretrained(HERE, gguf_file=name + ".gguf")
        texts = strings(random.Random(seed), 80)
        golden[name] = dict(
            tensors={n: hashlib.sha256(t.astype("<f4").tobytes()).hexdigest() for n, t in sorted(tensors.items())},
            special=[reference(t)["input_ids"] for t in texts], strings=texts,
            plain=[reference(t, add_special_tokens=False)["input_ids"] for t in texts])
    with open(os.path.join(HERE, "models.json"), "w", encoding="utf-8") as f:
        json.dump(golden, f, ensure_ascii=False, separators=(",", ":"))


def fuzz_seeds():
    folder = os.path.join(HERE, "../../FuzzTests/Corpus/gguf")
    os.makedirs(folder, exist_ok=True)
    for architecture, tokenizer in [("llama", "llama"), ("qwen2", "gpt2"), ("qwen3", "gpt2")]:
        writer = gguf.GGUFWriter(os.path.join(folder, f"seed-{architecture}"), architecture)
        for add, value in [(writer.add_context_length, 64), (writer.add_block_count, 1), (writer.add_embedding_length, 4),
                           (writer.add_feed_forward_length, 6), (writer.add_head_count, 2), (writer.add_head_count_kv, 1),
                           (writer.add_layer_norm_rms_eps, 1e-5), (writer.add_rope_freq_base, 1e4),
                           (writer.add_key_length, 2), (writer.add_rope_scaling_type, gguf.RopeScalingType.YARN),
                           (writer.add_rope_scaling_factor, 2.0), (writer.add_chat_template, "{{ messages }}")]:
            add(value)
        tokens = ["<unk>", "<s>", "</s>", "a", "b", "ab", "<x>", "<0x0A>"]
        writer.add_tokenizer_model(tokenizer)
        writer.add_tokenizer_pre("qwen2")
        writer.add_token_list(tokens)
        writer.add_token_types([2, 3, 3, 1, 1, 1, 4, 6])
        writer.add_bos_token_id(1)
        writer.add_eos_token_id(2)
        if tokenizer == "llama":
            writer.add_token_scores([0.0, 0.0, 0.0, -1.0, -1.0, -2.0, 0.0, 0.0])
        else:
            writer.add_token_merges(["a b"])
        shapes = dict(attn_q=(4, 4), attn_k=(2, 4), attn_v=(2, 4), attn_output=(4, 4), ffn_gate=(6, 4), ffn_up=(6, 4),
                      ffn_down=(4, 6))
        vectors = dict(attn_norm=4, ffn_norm=4)
        if architecture == "qwen3":
            vectors |= dict(attn_q_norm=2, attn_k_norm=2)
        writer.add_tensor("token_embd.weight", np.ones((8, 4), np.float16))
        writer.add_tensor("output_norm.weight", np.ones(4, np.float32))
        for name, shape in {**shapes, **vectors}.items():
            writer.add_tensor(f"blk.0.{name}.weight", np.ones(shape, np.float32))
        if architecture == "qwen2":
            for name, size in [("attn_q", 4), ("attn_k", 2), ("attn_v", 2)]:
                writer.add_tensor(f"blk.0.{name}.bias", np.ones(size, np.float32))
        if architecture == "llama":
            writer.add_tensor("rope_freqs.weight", np.ones(1, np.float32))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()


if __name__ == "__main__":
    fuzz_seeds()
    types()
    models()
