"""Makes the quickstart's text and tokenizer from three Debian packages.

    apt-get install wordnet-base bible-kjv bible-kjv-text
    python make_data.py            # needs the PyPI package tokenizers (made with 0.23)

Writes beside itself: base-text.jsonl (glosses of WordNet 3.0, the base model's training text; 12 MB, not kept in the
repository), base-valid.jsonl (every hundredth row of it, held back), base/tokenizer.json (trained on the text) and
genesis.jsonl (the fine-tuning text). `--root DIR` reads the packages from another root folder, such as one filled by
`dpkg-deb -x`. The SHA-256 of each file is printed and must be the one given in README.md.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess

from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

HERE = os.path.dirname(os.path.abspath(__file__))
ROW_CHARACTERS = 600
HELD_BACK = 100
VOCABULARY = 4096
SPECIAL_TOKENS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)


def glosses(root):
    """Each synonym set of WordNet as `word, synonym: gloss`, in the order of its data files."""
    for part in ("noun", "verb", "adj", "adv"):
        with open(os.path.join(root, f"usr/share/wordnet/data.{part}"), encoding="utf-8") as f:
            for line in f:
                if line.startswith("  "):  # the licence, at the head of every data file
                    continue
                fields, gloss = line.split(" | ", 1)
                fields = fields.split(" ")
                words = fields[4:4 + 2 * int(fields[3], 16):2]
                words = [re.sub(r"\((a|p|ip)\)$", "", w).replace("_", " ") for w in words[:3]]
                yield f"{', '.join(words)}: {gloss.strip()}"


def base_rows(root):
    """Neighbouring entries, which are on related things, joined to rows of about the same length."""
    row = ""
    for entry in glosses(root):
        if row and len(row) + len(entry) > ROW_CHARACTERS:
            yield row
            row = ""
        row = f"{row}\n{entry}" if row else entry
    yield row


def genesis(root):
    """The verses of Genesis in order, without their numbers."""
    bible, path = os.path.join(root, "usr/bin/bible"), os.path.join(root, "usr/lib/")
    command = [bible, "-f", "-l100000", "-p", path, "ge1:1-ge50:26"]
    text = subprocess.run(command, check=True, capture_output=True, stdin=subprocess.DEVNULL, text=True).stdout
    return [re.sub(r"^Ge\d+:\d+ ", "", line) for line in text.splitlines()]


def make_tokenizer(texts):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizers.NFC()
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    tokenizer.train_from_iterator(texts, trainers.BpeTrainer(
        vocab_size=VOCABULARY - len(SPECIAL_TOKENS), initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False))
    tokenizer.add_special_tokens(SPECIAL_TOKENS)
    return tokenizer


def write_rows(path, rows):
    with open(path, "w", encoding="utf-8") as f:
        f.writelines(json.dumps({"text": r}, ensure_ascii=False) + "\n" for r in rows)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default="/", help="where the Debian packages are unpacked")
    root = parser.parse_args().root
    rows, verses = list(base_rows(root)), genesis(root)
    held_back = rows[HELD_BACK - 1::HELD_BACK]
    del rows[HELD_BACK - 1::HELD_BACK]
    write_rows(os.path.join(HERE, "base-text.jsonl"), rows)
    write_rows(os.path.join(HERE, "base-valid.jsonl"), held_back)
    write_rows(os.path.join(HERE, "genesis.jsonl"), verses)
    make_tokenizer(rows).save(os.path.join(HERE, "base", "tokenizer.json"))
    for name in ("base-text.jsonl", "base-valid.jsonl", "genesis.jsonl", "base/tokenizer.json"):
        with open(os.path.join(HERE, name), "rb") as f:
            content = f.read()
        print(hashlib.sha256(content).hexdigest(), f"{name} ({len(content)} bytes)")


if __name__ == "__main__":
    main()
