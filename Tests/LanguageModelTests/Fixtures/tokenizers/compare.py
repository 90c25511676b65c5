"""Compares `nl-tool tokenize` with the PyPI package tokenizers, on the texts of test_strings.py and on files.

    python compare.py path/to/nl-tool MODEL_FOLDER... [--files FILE...]

Prints the first texts that differ, and exits with 1 if there are any.
"""

import argparse
import json
import os
import subprocess
import sys

from tokenizers import Tokenizer

from test_strings import NASTY, random_string


def compare(nl, folder, texts, special):
    command = [nl, "tokenize", "--model", folder] + (["--special-tokens"] if special else [])
    lines = "".join(json.dumps(text) + "\n" for text in texts)
    run = subprocess.run(command, input=lines.encode(), stdout=subprocess.PIPE, check=True)
    ours = [json.loads(line) for line in run.stdout.splitlines()]
    if len(ours) != len(texts):
        sys.exit(f"{folder}: {len(texts)} texts in, {len(ours)} lines out")
    reference = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
    reference.no_truncation()
    reference.no_padding()
    different = [(text, got, want.ids) for text, got, want in
                 zip(texts, ours, reference.encode_batch(texts, add_special_tokens=special)) if got != want.ids]
    print(f"{folder}, special tokens {'on' if special else 'off'}: {len(texts)} texts, {len(different)} differ")
    for text, got, want in different[:5]:
        print(f"  {ascii(text)[:200]}\n    nl         {got[:40]}\n    tokenizers {want[:40]}")
    return len(different)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("nl")
    parser.add_argument("folders", nargs="+")
    parser.add_argument("--count", type=int, default=10000, help="how many random texts")
    parser.add_argument("--files", nargs="*", default=[], help="text files, compared whole and line by line")
    arguments = parser.parse_args()
    texts = NASTY + [random_string(i) for i in range(arguments.count)]
    for path in arguments.files:
        with open(path, encoding="utf-8", newline="") as f:
            texts.append(f.read())
            texts.extend(texts[-1].splitlines(keepends=True))
    sys.exit(1 if sum(compare(arguments.nl, folder, texts, special)
                      for folder in arguments.folders for special in (False, True)) else 0)


if __name__ == "__main__":
    main()
