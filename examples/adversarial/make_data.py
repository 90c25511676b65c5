"""Makes train.jsonl and valid.jsonl of the texts of ../quickstart.

    python make_data.py

Ten words of Genesis, or of the glosses of a dictionary, in small letters and without punctuation; the label says whether "of"
is among them. In train.jsonl rows of the dictionary have no label. Either label is as frequent as the other in each domain.
"""

import json
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
WORD = re.compile(r"[A-Za-z]+")
LENGTH, COUNT = 10, 840


def texts(name):
    with open(os.path.join(HERE, "..", "quickstart", name), encoding="utf-8") as f:
        return [json.loads(line)["text"] for line in f]


def glosses():
    """Of the dictionary's lines, what stands behind each word."""
    lines = [line for row in texts("base-valid.jsonl") for line in row.split("\n")]
    return [line.split(": ", 1)[1] for line in lines if ": " in line]


def rows(domain, sources):
    """In turn with "of" and without, from the whole text."""
    own = [[], []]
    for text in sources:
        words = [word.lower() for word in WORD.findall(text)]
        for i in range(0, len(words) - LENGTH + 1, LENGTH):
            piece = words[i:i + LENGTH]
            own["of" not in piece].append(" ".join(piece))
    for i in range(COUNT):
        some = own[i % 2]
        yield dict(text=some[i // 2 * len(some) // (COUNT // 2)], label=("of", "none")[i % 2], domain=domain)


def main():
    both = [row for pair in zip(rows("genesis", texts("genesis.jsonl")), rows("dictionary", glosses())) for row in pair]
    # Of three groups of four rows, one of each domain with each label, one is held out.
    train = [row for i, row in enumerate(both) if i // 4 % 3 < 2]
    valid = [row for i, row in enumerate(both) if i // 4 % 3 == 2]
    for row in train:
        if row["domain"] == "dictionary":
            del row["label"]
    for name, part in (("train.jsonl", train), ("valid.jsonl", valid)):
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in part)
        print(name, len(part), "rows")


if __name__ == "__main__":
    main()
