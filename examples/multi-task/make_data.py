"""Makes train.jsonl and valid.jsonl of the texts of ../quickstart.

    python make_data.py

Two tasks, everything in small letters and without punctuation: `book`, whether eight words are of Genesis or of a
dictionary, and `names`, which words of a verse are names. A word is a name if it stands with a capital letter within a
sentence of Genesis and nowhere without one.
"""

import json
import os
import re

HERE = os.path.dirname(os.path.abspath(__file__))
WORD = re.compile(r"[A-Za-z]+")


def texts(name):
    with open(os.path.join(HERE, "..", "quickstart", name), encoding="utf-8") as f:
        return [json.loads(line)["text"] for line in f]


def names(verses):
    within, small = set(), set()
    for verse in verses:
        for match in WORD.finditer(verse):
            if match[0].islower():
                small.add(match[0])
            elif re.search(r"[a-z,;] $", verse[:match.start()]):
                within.add(match[0].lower())
    return within - small - {"i", "o"}


def eight(text):
    words = [word.lower() for word in WORD.findall(text)]
    start = max(0, len(words) // 2 - 4)
    return words[start:start + 8]


def main():
    verses = texts("genesis.jsonl")
    glosses = [line.split(": ", 1)[1] for row in texts("base-valid.jsonl") for line in row.split("\n") if ": " in line]
    named = names(verses)
    genesis = [e for e in map(eight, verses) if len(e) == 8]
    dictionary = [e for e in map(eight, glosses) if len(e) == 8]
    books = [dict(task="book", text=" ".join(words), label=label)
             for pair in zip(genesis[::2], dictionary[::2])
             for words, label in zip(pair, ("genesis", "dictionary"))][:600]
    tags = []
    for verse in verses[1::2]:
        words = [word.lower() for word in WORD.findall(verse)][:24]
        tags.append(dict(task="names", text=words, label=["name" if w in named else "word" for w in words]))
    tags = tags[:600]
    rows = [row for pair in zip(books, tags) for row in pair]
    for name, part in (("train.jsonl", rows[:800]), ("valid.jsonl", rows[800:])):
        with open(os.path.join(HERE, name), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in part)
        print(name, len(part), "rows")


if __name__ == "__main__":
    main()
