"""Makes the tokenizers in this folder, and what the PyPI package tokenizers 0.23 makes of the texts of test_strings.py.

    python make_tokenizers.py            # everything; needs /usr/share/common-licenses (Debian) to train on
    python make_tokenizers.py --expected # only what is expected of the tokenizers that are there
"""

import copy
import glob
import json
import os
import sys

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from test_strings import (FRAGMENTS, NASTY, RANGES, SplitMix64, combining_text, digest, digest_text, fnv, random_string,
                          scalar_text)

HERE = os.path.dirname(os.path.abspath(__file__))
NAMES = ["qwen2", "llama3", "smollm"]
RANDOM_COUNT = 10000
BLOCK = 1024
NORMAL_BLOCK = 4096

QWEN2 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LLAMA3 = QWEN2.replace(r"|\p{N}| ", r"|\p{N}{1,3}| ")
GPT4 = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
TEKKEN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+"
          r"|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*"
          r"|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
DEEPSEEK = (r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+"""
            r"| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def training_texts():
    texts = []
    for path in sorted(glob.glob("/usr/share/common-licenses/*")):
        with open(path, encoding="utf-8", errors="replace") as f:
            texts.append(f.read()[:20000])
    random = SplitMix64(1)
    for _ in range(400):
        first, end = RANGES[random.below(len(RANGES))]
        word = "".join(chr(first + random.below(min(40, end - first))) for _ in range(1 + random.below(8)))
        texts.append((word + " ") * 3 + FRAGMENTS[random.below(len(FRAGMENTS))] * 2)
    return texts


def added_tokens(style):
    special = {"qwen2": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
               "llama3": ["<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"],
               "smollm": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]}[style]
    return [AddedToken(t, special=True, normalized=False) for t in special] + [
        AddedToken("<w>", single_word=True, normalized=False), AddedToken("<l>", lstrip=True, normalized=False),
        AddedToken("<r>", rstrip=True, normalized=style != "smollm"), AddedToken("<lr>", lstrip=True, rstrip=True, normalized=False),
        AddedToken("<|im", normalized=False), AddedToken("A\u030angstr\u00f6m", normalized=True)]


def train(style, texts):
    tokenizer = Tokenizer(models.BPE(ignore_merges=style == "llama3"))
    if style == "qwen2":
        tokenizer.normalizer = normalizers.NFC()
    split = {"qwen2": QWEN2, "llama3": LLAMA3}.get(style)
    first = pre_tokenizers.Split(Regex(split), "isolated") if split else pre_tokenizers.Digits(individual_digits=True)
    last = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=split is None)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([first, last])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size={"qwen2": 1200, "llama3": 1000, "smollm": 1000}[style], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(added_tokens(style))
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    if style == "llama3":
        begin = "<|begin_of_text|>"
        template = processors.TemplateProcessing(
            single=f"{begin} $A", pair=f"{begin} $A {begin} $B:1", special_tokens=[(begin, tokenizer.token_to_id(begin))])
        tokenizer.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=True), template])
    return tokenizer


def write_tokenizer(style, texts):
    tokenizer = train(style, texts)
    value = json.loads(tokenizer.to_str())
    if style == "qwen2":  # the older form of merges
        value["model"]["merges"] = [" ".join(pair) for pair in value["model"]["merges"]]
    os.makedirs(os.path.join(HERE, style), exist_ok=True)
    with open(os.path.join(HERE, style, "tokenizer.json"), "w", encoding="utf-8") as f:
        json.dump(value, f, ensure_ascii=False, separators=(",", ":"))
    config = {"qwen2": {"eos_token": "<|endoftext|>"}, "llama3": {"eos_token": "<|end_of_text|>"},
              "smollm": {"eos_token": {"content": "<|im_end|>", "lstrip": False}}}[style]
    with open(os.path.join(HERE, style, "tokenizer_config.json"), "w") as f:
        json.dump(config, f)


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(use_regex=False, prefix=False):
    return {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": use_regex}


def sequence(*parts):
    return {"type": "Sequence", "pretokenizers": list(parts)}


def variants():
    """Changes to the tokenizer qwen2: (name, key, value)."""
    for name, pattern in (("gpt4", GPT4), ("tekken", TEKKEN), ("deepseek", DEEPSEEK)):
        yield name, "pre_tokenizer", sequence(split(pattern), byte_level())
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            yield f"{behavior} {invert}", "pre_tokenizer", sequence(split(r"[\p{L}\d]", behavior, invert), byte_level())
            yield f"{behavior} {invert} string", "pre_tokenizer", sequence(split("a", behavior, invert, "String"), byte_level())
    yield "empty matches", "pre_tokenizer", sequence(split(r"x*|\p{Lu}?"), byte_level())
    yield "digits together", "pre_tokenizer", sequence({"type": "Digits", "individual_digits": False}, byte_level(True))
    yield "prefix", "pre_tokenizer", byte_level(True, True)
    yield "prefix after split", "pre_tokenizer", sequence(split(r"\n"), byte_level(False, True))
    for pattern in (r"\p{C}", r"\p{M}|\p{^L}", r"\P{Lu}\S?", r"\u00e9|[\u0300-\x{36f}]\D", "(?i)x|l(?-i:L)", r"(?<=a)\s|(?<!b)[^\s\p{P}]"):
        yield pattern, "pre_tokenizer", sequence(split(pattern), byte_level())
    for form in ("NFD", "NFKC", "NFKD"):
        yield form, "normalizer", {"type": form}
    yield "NFKD then NFC", "normalizer", {"type": "Sequence", "normalizers": [{"type": "NFKD"}, {"type": "NFC"}]}


def write(name, value):
    with open(os.path.join(HERE, name), "w") as f:
        json.dump(value, f, indent=0, ensure_ascii=True)
        f.write("\n")


def lines(digests, per_line=20):
    return ["".join(digests[i:i + per_line]) for i in range(0, len(digests), per_line)]


def expected():
    tokenizers = {}
    random = [random_string(i) for i in range(RANDOM_COUNT)]
    write("strings.json", {"ranges": [list(r) for r in RANGES], "fragments": FRAGMENTS, "nasty": NASTY,
                           "random_digest": digest_text("\n".join(random))})
    for name in NAMES:
        tokenizer = Tokenizer.from_file(os.path.join(HERE, name, "tokenizer.json"))
        nasty = [tokenizer.encode(s).ids for s in NASTY]
        tokenizers[name] = {
            "nasty": [" ".join(map(str, ids)) for ids in nasty],
            "nasty_decoded": [digest_text(tokenizer.decode(ids, skip_special_tokens=True)) for ids in nasty],
            "random": lines([digest(tokenizer.encode(s, add_special_tokens=False).ids) for s in random]),
            "decoded": lines([digest_text(tokenizer.decode([i * 7 % 1300 for i in range(n, n + n % 9)], skip_special_tokens=False))
                              for n in range(400)]),
            "scalars": lines([digest(tokenizer.encode(scalar_text(b, BLOCK), add_special_tokens=False).ids)
                              for b in range(0x110000 // BLOCK)]),
        }
    write("expected.json", tokenizers)

    with open(os.path.join(HERE, "qwen2", "tokenizer.json"), encoding="utf-8") as f:
        base = json.load(f)
    result = []
    for name, key, value in variants():
        changed = copy.deepcopy(base)
        changed[key] = value
        tokenizer = Tokenizer.from_str(json.dumps(changed))
        ids = [tokenizer.encode(s).ids for s in NASTY + random[:2000]]
        result.append({"name": name, "key": key, "value": value, "digests": lines([digest(i) for i in ids[:len(NASTY)]]),
                       "random": digest([j for i in ids for j in i])})
    write("variants.json", result)

    forms = {}
    for form in ("NFC", "NFD", "NFKC", "NFKD"):
        normalizer = getattr(normalizers, form)()
        forms[form] = lines([digest_text(normalizer.normalize_str(combining_text(b, NORMAL_BLOCK)))
                             for b in range(0x110000 // NORMAL_BLOCK)])
    write("normal_forms.json", forms)


if __name__ == "__main__":
    if "--expected" not in sys.argv[1:]:
        corpus = training_texts()
        for each in NAMES:
            write_tokenizer(each, corpus)
    expected()
