"""Random GGUF files of small models, by gguf.GGUFWriter: architectures, tensor types, and tokenizers of both kinds.

`write(path, seed, …)` returns what the file must become: the tensors by their names in a checkpoint, in float32 as
gguf.quants.dequantize gives them, with llama's rows of Q and K turned back.
"""

import random

import gguf
import numpy as np
from gguf import GGMLQuantizationType as T

QUANTIZABLE = [T.F32, T.F16, T.BF16, T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0]
K_TYPES = [T.Q4_K, T.Q5_K, T.Q6_K]
TYPES = QUANTIZABLE + K_TYPES


def k_blocks(rng, rows, columns, kind):
    """Random valid blocks of a type that gguf-py cannot quantise to: any bytes, with scales that are finite."""
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    blocks = rng.integers(0, 256, (rows, columns // numbers, size), dtype=np.uint8)
    for offset in [208] if kind == T.Q6_K else [0, 2]:
        scale = (rng.standard_normal(blocks.shape[:2]) * 0.002).astype(np.float16)
        blocks[:, :, offset : offset + 2] = scale[..., None].view(np.uint8)
    return blocks.reshape(rows, -1)


def encode(rng, values, kind):
    """Bytes of a matrix in a type, and the floats that they stand for."""
    data = k_blocks(rng, *values.shape, kind) if kind in K_TYPES else gguf.quants.quantize(values, kind)
    return data, gguf.quants.dequantize(data, kind).astype(np.float32)


def turned_back(values, heads):
    """The rows of a checkpoint out of those of a GGUF file of architecture llama."""
    return np.ascontiguousarray(values.reshape(heads, -1, 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape))


def byte_alphabet():
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [b for b in range(256) if b not in printable]
    return {**{b: chr(b) for b in printable}, **{b: chr(256 + i) for i, b in enumerate(others)}}


WORDS = ("the and of to in that it was for on are with as his they be at one have this from or had by hot but some "
         "what there we can out other were all your when up use word how said an each she which do their time if will "
         "way about many then them would write like so these her long make thing see him two has look more day could "
         "go come did my sound no most number who over know water than call first people may down side been now find "
         "Der Fluß ist über Nacht été naïve Москва 東京 こんにちは don't it's I'll 12 345 2024 == -> ... :: return").split()


def byte_level_merges(rng, count):
    """Pairs of neighbours in random words, merged as they come: a vocabulary whose merges all apply."""
    alphabet = byte_alphabet()
    words = [[alphabet[b] for b in (" " * (rng.random() < 0.7) + w).encode()] for w in WORDS * 2]
    words += [[alphabet[b] for b in text.encode()] for text in ("  ", "    ", "\n\n", "\t\t", " \n", "  1", "12 ")]
    merges, tokens = [], []
    while len(merges) < count:
        pairs = [(a, b) for w in words for a, b in zip(w, w[1:])]
        if not pairs:
            break
        a, b = pairs[rng.randrange(len(pairs))]
        merges.append(f"{a} {b}")
        if a + b not in tokens:
            tokens.append(a + b)
        for w in words:
            at = 0
            while at < len(w) - 1:
                if w[at] == a and w[at + 1] == b:
                    w[at : at + 2] = [a + b]
                at += 1
    return list(dict.fromkeys(merges)), tokens


CONTROL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|tool|>"]
USER = ["<think>", "</think>", "<w"]


def add_byte_level(writer, rng, pre, size):
    merges, tokens = byte_level_merges(rng, size)
    alphabet = [t for t in byte_alphabet().values()]
    kinds = [(t, 1) for t in alphabet + tokens]
    kinds = [(t, 3) for t in CONTROL] + kinds + [(t, 4) for t in USER] + [("[PAD0]", 5), ("[PAD1]", 5)]
    writer.add_tokenizer_model("gpt2")
    if pre is not None:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list([t for t, _ in kinds])
    writer.add_token_types([k for _, k in kinds])
    writer.add_token_merges(merges)
    writer.add_bos_token_id(rng.randrange(2))
    writer.add_eos_token_id(2)
    if rng.random() < 0.5:
        writer.add_pad_token_id(rng.randrange(3))
    if rng.random() < 0.5:
        writer.add_add_bos_token(rng.random() < 0.5)
    return len(kinds)


def add_sentence_piece(writer, rng, size):
    kinds = [("<unk>", 2, 0.0), ("<s>", 3, 0.0), ("</s>", 3, 0.0)]
    kinds += [(f"<0x{b:02X}>", 6, 0.0) for b in range(256)]
    pieces = {}
    for word in WORDS:
        text = "▁" * (rng.random() < 0.8) + word
        for _ in range(6):
            start = rng.randrange(len(text))
            pieces[text[start : start + rng.randrange(1, 6)]] = None
        pieces.update(dict.fromkeys(text))
    pieces.update(dict.fromkeys(["▁", "▁▁", "▁▁▁", "é", "ü"]))
    chosen = [p for p in pieces if p][: size]
    # Few scores, so that many are equal.
    kinds += [(p, 1, float(-rng.randrange(1, size // 2))) for p in chosen if p not in ("<unk>", "<s>", "</s>")]
    kinds += [(t, 4, 0.0) for t in USER]
    writer.add_tokenizer_model("llama")
    writer.add_tokenizer_pre("default")
    writer.add_token_list([t for t, _, _ in kinds])
    writer.add_token_scores([s for _, _, s in kinds])
    writer.add_token_types([k for _, k, _ in kinds])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_unk_token_id(0)
    if rng.random() < 0.5:
        writer.add_add_bos_token(rng.random() < 0.5)
    return len(kinds)


def write(path, seed, architecture, tokenizer, types=TYPES, hidden=256, vocabulary=300, layers=2, extra=None,
          tensors_a_part=0):
    """tokenizer: a value of tokenizer.ggml.pre (None: without), or "sentencepiece"; extra: called with the writer;
    tensors_a_part: splits the file, into PATH-00001-of-….gguf."""
    rng, numbers = random.Random(seed), np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, architecture, split_max_tensors=tensors_a_part)
    tied = rng.random() < 0.5
    heads, kv_heads = 4, rng.choice([1, 2, 4])
    head = hidden // heads if architecture != "qwen3" else rng.choice([hidden // heads, hidden // heads * 2])
    inner = hidden * rng.choice([1, 2])
    writer.add_name(f"random {seed}")
    writer.add_context_length(512)
    writer.add_block_count(layers)
    writer.add_embedding_length(hidden)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_rope_freq_base(rng.choice([10000.0, 500000.0, 1e6]))
    writer.add_layer_norm_rms_eps(rng.choice([1e-5, 1e-6]))
    if architecture == "llama":
        writer.add_rope_dimension_count(head)
    if architecture == "qwen3":
        writer.add_key_length(head)
        writer.add_value_length(head)
    count = add_sentence_piece(writer, rng, vocabulary) if tokenizer == "sentencepiece" else add_byte_level(
        writer, rng, tokenizer, vocabulary)
    rows = (count + 7) // 8 * 8
    writer.add_vocab_size(rows)
    if extra:
        extra(writer)
    expected = {}

    def matrix(name, target, shape, heads=None):
        kind = rng.choice(types)
        if shape[-1] % gguf.GGML_QUANT_SIZES[kind][0]:
            kind = T.Q8_0
        data, floats = encode(numbers, (numbers.standard_normal(shape) * 0.05).astype(np.float32), kind)
        writer.add_tensor(name + ".weight", data, raw_dtype=kind)
        expected[target + ".weight"] = turned_back(floats, heads) if heads and architecture == "llama" else floats

    def vector(name, target, size, mean=0.0, heads=None):
        values = (mean + numbers.standard_normal(size) * 0.05).astype(np.float32)
        writer.add_tensor(name, values)
        expected[target] = turned_back(values, heads) if heads and architecture == "llama" else values

    matrix("token_embd", "model.embed_tokens", (rows, hidden))
    vector("output_norm.weight", "model.norm.weight", hidden, 1.0)
    if not tied:
        matrix("output", "lm_head", (rows, hidden))
    for layer in range(layers):
        a, b = f"blk.{layer}.", f"model.layers.{layer}."
        vector(a + "attn_norm.weight", b + "input_layernorm.weight", hidden, 1.0)
        vector(a + "ffn_norm.weight", b + "post_attention_layernorm.weight", hidden, 1.0)
        matrix(a + "attn_q", b + "self_attn.q_proj", (heads * head, hidden), heads)
        matrix(a + "attn_k", b + "self_attn.k_proj", (kv_heads * head, hidden), kv_heads)
        matrix(a + "attn_v", b + "self_attn.v_proj", (kv_heads * head, hidden))
        matrix(a + "attn_output", b + "self_attn.o_proj", (hidden, heads * head))
        if architecture == "qwen2":
            for name, target, n in [("attn_q", "q_proj", heads), ("attn_k", "k_proj", kv_heads),
                                    ("attn_v", "v_proj", kv_heads)]:
                vector(f"{a}{name}.bias", f"{b}self_attn.{target}.bias", n * head)
        if architecture == "qwen3":
            vector(a + "attn_q_norm.weight", b + "self_attn.q_norm.weight", head, 1.0)
            vector(a + "attn_k_norm.weight", b + "self_attn.k_norm.weight", head, 1.0)
        matrix(a + "ffn_gate", b + "mlp.gate_proj", (inner, hidden))
        matrix(a + "ffn_up", b + "mlp.up_proj", (inner, hidden))
        matrix(a + "ffn_down", b + "mlp.down_proj", (hidden, inner))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return expected


def strings(rng, count):
    """Texts that try a tokenizer: words, spaces, digits, scripts, combining marks, special tokens, broken pieces."""
    pool = WORDS + ["  ", " ", "\n", "\n\n", "\t", "\r\n", "1", "23", "456", "7890", "é", "e\u0301", "ﬁ", "😀", "👩‍🚀", "ß", "ǅ",
                    "<|im_start|>", "<|im_end|>", "<think>", "</think>", "<w", "<s>", "</s>", "[PAD0]", "!", "?!", "...", "'s", "'LL",
                    "_", "--", "🇩🇪", "\u00a0", "\u200b", "\ufeff", "ｆｕｌｌ", "ก็", "नमस्ते", "السلام", "x²", "Ⅷ", "½", "a\u0323\u0307"]
    joins = ["", "", " ", " ", "  "]
    texts = ["", " ", "  ", "a", " a", "\n", "  1", " 12 345", "Hello, world!"]
    while len(texts) < count:
        parts = [rng.choice(pool) + rng.choice(joins) for _ in range(rng.randrange(1, 12))]
        texts.append("".join(parts))
    return texts[:count]
