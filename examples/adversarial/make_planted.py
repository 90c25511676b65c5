"""Makes train.jsonl and valid.jsonl in a folder, of the texts of ../quickstart, in two domains that differ in one word.

    python make_planted.py FOLDER

Ten words of Genesis or of the glosses of a dictionary behind "so" (domain a) or "lo" (domain b); the label says whether "of"
is among the ten. Either text, and either label, is as frequent in one domain as in the other. In train.jsonl rows of domain b
have no label; rows of valid.jsonl are of texts that train.jsonl has nothing of.
"""

import json
import os
import random
import sys

from make_data import LENGTH, WORD, glosses, texts

STRIDE, HELD_OUT = 3, 540


def rows(sources, stride):
    """With "of" and without, as many of each, in either domain by turns."""
    own = [[], []]
    for words in sources:
        for i in range(0, len(words) - LENGTH + 1, stride):
            piece = words[i:i + LENGTH]
            own["of" not in piece].append(" ".join(piece))
    count = min(map(len, own))
    for pieces, label in zip(own, ("of", "none")):
        random.shuffle(pieces)
        for i, piece in enumerate(pieces[:count]):
            yield dict(text=("so ", "lo ")[i % 2] + piece, label=label, domain="ab"[i % 2])


def main():
    folder = sys.argv[1]
    random.seed(7)
    sources = [[word.lower() for word in WORD.findall(text)] for text in texts("genesis.jsonl") + glosses()]
    random.shuffle(sources)
    cut = len(sources) * 4 // 5
    parts = [list(rows(sources[:cut], STRIDE)), list(rows(sources[cut:], LENGTH))]
    for part in parts:
        random.shuffle(part)
    for row in parts[0]:
        if row["domain"] == "b":
            del row["label"]
    os.makedirs(folder, exist_ok=True)
    for name, part in (("train.jsonl", parts[0]), ("valid.jsonl", parts[1][:HELD_OUT])):
        with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in part)
        print(name, len(part), "rows")


if __name__ == "__main__":
    main()
