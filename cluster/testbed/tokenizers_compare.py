"""Random tokenizer.json files in `nl-tool tokenize` and in the PyPI package tokenizers.

usage: tokenizers_compare.py --nl .build/release/nl-tool [--files 2000] [--strings 100] [--first SEED] [--scratch DIR]

Each file comes from its seed: normalizers, pre-tokenizers, added tokens with random flags, vocabulary, merges and
post-processor of the kinds that nl-tool reads. Every string is encoded with and without special tokens.
Prints the files that differ and counts; exits with 1 if there are any. A file that nl-tool refuses by name counts apart.
"""

import argparse
import collections
import json
import os
import random
import shutil
import subprocess
import sys

# The package may panic on a text, with pages of where.
os.environ.update(RUST_BACKTRACE="0", TOKENIZERS_PARALLELISM="false")

import tokenizers
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tests/LanguageModelTests/Fixtures/tokenizers"))
from test_strings import FRAGMENTS, NASTY, RANGES  # noqa: E402

SPACE = "\u2581"
LINES = [
    "The cat sat on the mat and the hat; 1,234 licenses of 2007 were there.", "It's he'll I'M WE'VE don't \u2019s n't",
    "Hello, world! caf\u00e9 na\u00efve \u00c5ngstr\u00f6m \u00fcber stra\u00dfe \u0130stanbul", "def f(x):\n\treturn x ** 2  # square\n",
    "\u65e5\u672c\u8a9e\u306e\u6587 \u4f60\u597d\uff0c\u4e16\u754c\u3002 \ud55c\uad6d\uc5b4", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440! \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f44d\U0001f3fd <|im_start|>user\nHi<|im_end|>", "word words wording the there then theater " * 3,
]
REGEXES = [
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+", r"\p{N}{1,3}", r"\s+", r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+",
    r"[A-Z]", r"\d+|\w+", r"(?<=a)b", r"[^\s]+", r" ?[^(\s|[.,!?\u2026\u3002\uff0c\u3001\u0964\u06d4\u060c])]+", r"a|e|i", r"\p{Lu}?\p{Ll}*", r"[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
    r"(?=(\d{3})+(?!\d))", r"[\p{L}\p{M}]+|[\p{P}\p{S}]+",
]
BEHAVIORS = ["Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"]
CONTENTS = [
    "<|im_start|>", "<|im_end|>", "<s>", "</s>", "<unk>", "<tool>", "<|im", "the", "The", "THE", " the", "the ", "1", "12", "\u00e9", "e\u0301", "E\u0301", "\u212b", "\u00c5",
    "\n", "\n\n", "  ", "\t", SPACE, SPACE + "the", "a", "ab", "\ufb01", "fi", "<W>", "<w>", "\u65e5\u672c", "\U0001f44d", "'s", "x y", " x", "\u00b2", "[MASK]", "\u0130", "i\u0307", "\ufeff",
]


def normalizer(rng, piece_like):
    forms = lambda: {"type": rng.choice(["NFC", "NFD", "NFKC", "NFKD"])}
    replace = lambda: {"type": "Replace", "pattern": rng.choice([{"String": rng.choice([" ", "a", "\n", "``", "the"])}, {"Regex": rng.choice([r" {2,}", r"\s+", r"[\r\n]+", r"\d", r"(?i)the"])}]),
                       "content": rng.choice(["", " ", SPACE, "x", "\n", "--"])}
    other = [forms, forms, replace, lambda: {"type": "Lowercase"}, lambda: {"type": "Strip", "strip_left": rng.random() < .5, "strip_right": rng.random() < .5},
             lambda: {"type": "Prepend", "prepend": rng.choice([SPACE, " ", "ab"])}]
    steps = [rng.choice(other)() for _ in range(rng.choice([0, 0, 0, 1, 1, 2, 3]))]
    if piece_like and rng.random() < .7:
        steps += [{"type": "Prepend", "prepend": SPACE}] * (rng.random() < .7) + [{"type": "Replace", "pattern": {"String": " "}, "content": SPACE}]
    if not steps:
        return rng.choice([None, {"type": "Sequence", "normalizers": []}])
    return steps[0] if len(steps) == 1 and rng.random() < .7 else {"type": "Sequence", "normalizers": steps}


def cut(rng):
    split = lambda: {"type": "Split", "pattern": rng.choice([{"Regex": rng.choice(REGEXES)}] * 3 + [{"String": rng.choice([" ", "a", "\n", ".", "the", SPACE])}]),
                     "behavior": rng.choice(BEHAVIORS), "invert": rng.random() < .2}
    return rng.choice([split, split, split, lambda: {"type": "Digits", "individual_digits": rng.random() < .5},
                       lambda: {"type": "Punctuation", "behavior": rng.choice(BEHAVIORS)}, lambda: {"type": "WhitespaceSplit"}])()


def pre_tokenizer(rng, kind):
    steps = [cut(rng) for _ in range(rng.choice([0, 0, 1, 1, 2, 3]))]
    if kind == "level":
        steps.append({"type": "ByteLevel", "add_prefix_space": rng.random() < .3, "trim_offsets": rng.random() < .5, "use_regex": rng.random() < .6})
        steps += [cut(rng) for _ in range(rng.choice([0, 0, 0, 0, 1, 2]))]
    elif kind == "meta":
        steps.append({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": rng.choice(["always", "first", "never"]), "split": rng.random() < .5})
    if not steps:
        return None
    return steps[0] if len(steps) == 1 else {"type": "Sequence", "pretokenizers": steps}


def trained(rng, kind):
    """Vocabulary and merges that a trainer finds in some of the lines."""
    lines = rng.sample(LINES, rng.randint(2, len(LINES)))
    tokenizer = Tokenizer(models.BPE())
    settings = dict(vocab_size=rng.randint(40, 420), show_progress=False)
    if kind == "level":
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=rng.random() < .7)
        settings["initial_alphabet"] = pre_tokenizers.ByteLevel.alphabet() if rng.random() < .9 else []
        settings["vocab_size"] = rng.randint(260, 420)
    else:
        lines = [SPACE + line.replace(" ", SPACE) for line in lines]
    tokenizer.train_from_iterator(lines, trainers.BpeTrainer(**settings))
    model = json.loads(tokenizer.to_str())["model"]
    tokens = sorted(model["vocab"], key=model["vocab"].get)
    front = []
    if kind != "level" or rng.random() < .2:
        front += ["<unk>", "<s>", "</s>"]
        if rng.random() < .7:
            front += [f"<0x{b:02X}>" for b in range(256)]
            if rng.random() < .2:
                front.remove(f"<0x{rng.randint(0, 255):02X}>")
    vocab = {}
    for token in front + tokens:
        vocab.setdefault(token, len(vocab))
    merges = model["merges"]
    if rng.random() < .2:
        rng.shuffle(merges)
    if rng.random() < .3:
        # As older files have them.
        if all(" " not in a + b for a, b in merges):
            merges = [f"{a} {b}" for a, b in merges]
    return vocab, merges


def added_tokens(rng, vocab):
    contents = rng.sample(CONTENTS, rng.randint(0, 9)) + [f"<x{i}>" for i in range(rng.randint(0, 2))]
    tokens, largest = [], -1
    for content in contents:
        id = vocab[content] if content in vocab else max(len(vocab), largest + 1)
        largest = max(largest, id)
        flag = lambda chance: rng.random() < chance
        tokens.append(dict(id=id, content=content, single_word=flag(.2), lstrip=flag(.25), rstrip=flag(.25), normalized=flag(.5), special=flag(.4)))
    return tokens


def post_processor(rng, tokens):
    level = {"type": "ByteLevel", "add_prefix_space": rng.random() < .5, "trim_offsets": False, "use_regex": True}
    if not tokens or rng.random() < .4:
        return rng.choice([None, level])
    one = lambda: rng.choice(tokens)
    before, after = [one() for _ in range(rng.choice([0, 1, 1, 2]))], [one() for _ in range(rng.choice([0, 0, 1]))]
    piece = lambda t: {"SpecialToken": {"id": t["content"], "type_id": 0}}
    text = lambda name: {"Sequence": {"id": name, "type_id": 0}}
    template = {"type": "TemplateProcessing", "single": [*map(piece, before), text("A"), *map(piece, after)], "pair": [text("A"), text("B")],
                "special_tokens": {t["content"]: {"id": t["content"], "ids": [t["id"]], "tokens": [t["content"]]} for t in before + after}}
    return template if rng.random() < .5 else {"type": "Sequence", "processors": rng.sample([level, template], 2)}


def tokenizer_file(seed):
    rng = random.Random(seed)
    kind = rng.choice(["level", "level", "level", "piece", "piece", "meta"])
    vocab, merges = trained(rng, kind)
    tokens = added_tokens(rng, vocab)
    unknown = "<unk>" if "<unk>" in vocab and rng.random() < .8 else None
    model = {"type": "BPE", "dropout": rng.choice([None, None, 0.0]), "unk_token": unknown if kind != "level" else None, "continuing_subword_prefix": None,
             "end_of_word_suffix": None, "fuse_unk": rng.random() < .5, "byte_fallback": kind != "level" and "<0x41>" in vocab and rng.random() < .8,
             "ignore_merges": rng.random() < .3, "vocab": vocab, "merges": merges}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": normalizer(rng, kind == "piece"),
            "pre_tokenizer": pre_tokenizer(rng, kind), "post_processor": post_processor(rng, tokens),
            "decoder": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True} if kind == "level" else None, "model": model}, kind


def strings(rng, tokens, count):
    own = [t["content"] for t in tokens] * 3
    words = [w for line in LINES for w in line.split(" ")]

    def one():
        if rng.random() < .1:
            return rng.choice(NASTY)
        parts = []
        for _ in range(rng.randint(0, 20)):
            draw = rng.random()
            if draw < .25 and own:
                parts.append(rng.choice(own))
            elif draw < .5:
                parts.append(rng.choice(words) + rng.choice(["", " ", " "]))
            elif draw < .8:
                parts.append(rng.choice(FRAGMENTS))
            else:
                first, end = rng.choice(RANGES)
                parts.append("".join(chr(rng.randrange(first, end)) for _ in range(rng.randint(1, 3))))
        return "".join(parts)

    return [one() for _ in range(count)]


def ours(nl, folder, texts, special):
    command = [nl, "tokenize", "--model", folder] + (["--special-tokens"] if special else [])
    run = subprocess.run(command, input="".join(json.dumps(t) + "\n" for t in texts), capture_output=True, text=True)
    return [json.loads(line) for line in run.stdout.splitlines()], run.stderr.strip() if run.returncode else None


def equals(reference, tokens):
    """For the id of each added token the first one that the package looks for as the same text: of these it takes any, another
    each time it reads the file. None if they have different flags, so that what is around them differs, too."""
    texts, first, flags = {}, {}, {}
    for token in tokens:
        text = token["content"]
        if token["normalized"] and reference.normalizer is not None:
            text = reference.normalizer.normalize_str(text)
        own = tuple(token[flag] for flag in ("single_word", "lstrip", "rstrip"))
        if flags.setdefault((token["normalized"], text), own) != own:
            return None
        first[token["id"]] = texts.setdefault((token["normalized"], text), token["id"])
    return first


def becomes_nothing(reference, token):
    """The package then finds it at every byte, panics, or takes memory without end."""
    return token["normalized"] and reference.normalizer is not None and reference.normalizer.normalize_str(token["content"]) == ""


def theirs(reference, text, special):
    """None where the package panics."""
    try:
        return reference.encode(text, add_special_tokens=special).ids
    except BaseException as error:
        if "PanicException" not in type(error).__name__:
            raise
        return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nl", required=True)
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--strings", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--scratch", default="/tmp/nl-tokenizers")
    parser.add_argument("--verbose", action="store_true", help="show the file of each that differs")
    arguments = parser.parse_args()
    counts, refused, kinds = collections.Counter(), collections.Counter(), collections.Counter()
    seed = arguments.first - 1
    while counts["files"] < arguments.files:
        seed += 1
        file, kind = tokenizer_file(seed)
        folder = os.path.join(arguments.scratch, "model")
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        path = os.path.join(folder, "tokenizer.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(file, f)
        try:
            reference = Tokenizer.from_file(path)
        except Exception as error:
            counts["not read by tokenizers"] += 1
            print(f"{seed}: tokenizers does not read it: {str(error)[:150]}", flush=True)
            continue
        if any(becomes_nothing(reference, token) for token in file["added_tokens"]):
            counts["passed over: a token becomes nothing"] += 1
            continue
        texts = strings(random.Random(f"strings {seed}"), file["added_tokens"], arguments.strings)
        same, differ = equals(reference, file["added_tokens"]), []
        if same is None:
            counts["passed over: tokens of one text with different flags"] += 1
            continue
        counts["files with tokens of one text"] += any(id != first for id, first in same.items())
        for special in (False, True):
            found, said = ours(arguments.nl, folder, texts, special)
            if said:
                break
            expected = [theirs(reference, text, special) for text in texts]
            counts["panics of tokenizers"] += expected.count(None)
            differ += [(t, a, b) for t, a, b in zip(texts, found, expected)
                       if b is not None and [same.get(i, i) for i in a] != [same.get(i, i) for i in b]]
            differ += [("number of lines", len(found), len(expected))] * (len(found) != len(expected))
        counts["files"] += 1
        kinds[kind] += 1
        if said:
            counts["refused"] += 1
            refused[said.split("tokenizer.json: ")[-1][:110]] += 1
            continue
        counts["strings"] += 2 * len(texts)
        counts["files that differ"] += bool(differ)
        counts["strings that differ"] += len(differ)
        if differ:
            text, a, b = min(differ, key=lambda d: len(d[0]))
            print(f"{seed} ({kind}): {len(differ)} differ, {ascii(text)}: {a} for {b}", flush=True)
            if arguments.verbose:
                small = {**file, "model": {k: v for k, v in file["model"].items() if k not in ("vocab", "merges")}}
                print(json.dumps(small, ensure_ascii=True))
    for message, count in refused.most_common():
        print(f"refused {count} times: {message}")
    print("tokenizers", tokenizers.__version__, dict(counts), dict(kinds))
    sys.exit(1 if counts["files that differ"] or counts["files"] == 0 else 0)


if __name__ == "__main__":
    main()
