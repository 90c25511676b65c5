"""Makes rows.jsonl and valid.jsonl: 270 verses of Genesis and 30 glosses of WordNet, with a label each, and a weight of 5 for
rows of at most 80 letters, 1 for others."""
import json
import pathlib

here = pathlib.Path(__file__).parent
quickstart = here.parent / "quickstart"


def texts(name, count, most):
    rows = (json.loads(line)["text"] for line in open(quickstart / name, encoding="utf-8"))
    return [text for text in rows if len(text) <= most][:count]


rows = [{"text": text, "label": "verse"} for text in texts("genesis.jsonl", 300, 330)]
for index, text in enumerate(texts("base-valid.jsonl", 33, 600)):
    rows.insert(index * 10, {"text": text, "label": "gloss"})
for row in rows:
    row["weight"] = 5 if len(row["text"]) <= 80 else 1
for name, part in [("rows", rows[:300]), ("valid", rows[300:])]:
    with open(here / f"{name}.jsonl", "w", encoding="utf-8") as file:
        for row in part:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
