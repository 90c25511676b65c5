"""Makes verses.jsonl and valid.jsonl out of ../quickstart/genesis.jsonl: the shortest and the longest verses, none between,
so that the data have an easy half and a hard one. Every tenth row of each half is held back."""
import json
import pathlib

here = pathlib.Path(__file__).parent
verses = [json.loads(line)["text"] for line in open(here.parent / "quickstart/genesis.jsonl", encoding="utf-8")]
verses = sorted((text for text in verses if len(text) <= 330), key=len)
halves = {"easy": verses[:150], "hard": verses[-150:]}
rows = [{"text": text, "half": half} for pair in zip(*halves.values()) for text, half in zip(pair, halves)]
for name, chosen in [("verses", lambda i: i % 20 > 1), ("valid", lambda i: i % 20 <= 1)]:
    with open(here / f"{name}.jsonl", "w", encoding="utf-8") as file:
        for index, row in enumerate(rows):
            if chosen(index):
                file.write(json.dumps(row, ensure_ascii=False) + "\n")
