"""Makes training/qwen2_completions and training/qwen2_packed: twelve steps of nested training in PyTorch on the rows of
data/pairs.jsonl, whose completions alone have a loss; rows of plain text have it on every token.

    python make_golden.py && python make_data_golden.py

`packed` takes the same rows in packs (next-fit in file order, none split): PyTorch computes each row by itself, so that
attention and positions begin anew with each, and the first token of none is predicted.
"""

import json
import os
import shutil

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer

from golden_models import HERE, SPECS, model_folder, write_json
from make_golden import batch_logits, load_with_adapter, peft_name
from make_training_golden import COMMON, Run, end_of_text

BASE = "qwen2_f32"
VARIANTS = dict(
    qwen2_completions=dict(max_seq_length=48),
    qwen2_packed=dict(max_seq_length=80, packing=True, gradient_accumulation_steps=2, inactive_gradients="mean"),
)


class Row(list):
    """Token ids; `trained` says of each whether it has a loss, once it is predicted."""

    def __init__(self, ids, trained):
        super().__init__(ids)
        self.trained = trained


def encode(tokenizer, end, row):
    text = row["text"] if "text" in row else row["prompt"] + row["completion"]
    ids = tokenizer.encode(text).ids + [end]
    start = 0
    if "prompt" in row:
        prompt = tokenizer.encode(row["prompt"]).ids
        while start < len(prompt) and prompt[start] == ids[start]:
            start += 1
    return ids, [i >= start for i in range(len(ids))]


def read_rows(file, max_length):
    tokenizer = Tokenizer.from_file(os.path.join(model_folder(BASE), "tokenizer.json"))
    end = end_of_text(model_folder(BASE), tokenizer)
    with open(os.path.join(HERE, "data", file), encoding="utf-8") as f:
        encoded = [encode(tokenizer, end, json.loads(line)) for line in f]
    return [Row(ids[:max_length], trained[:max_length]) for ids, trained in encoded]


def loss_sum(model, rows):
    total = 0.0
    for logits, row in zip(batch_logits(model, rows), rows):
        losses = torch.nn.functional.cross_entropy(logits[:-1], torch.tensor(row[1:]), reduction="none")
        total = total + (losses * torch.tensor(row.trained[1:], dtype=torch.float32)).sum()
    return total


class PackedRun(Run):
    def micro_batches(self, step):
        size, count = self.config["batch_size"], self.config["gradient_accumulation_steps"]
        for g in range(count):
            first = ((step - 1) * count + g) * size
            yield [row for pack in range(first, first + size) for row in self.pack(pack)]

    def pack(self, number):
        place = 0
        for _ in range(number + 1):
            start, tokens = place, 0
            while tokens + len(self.rows[place % len(self.rows)]) <= self.config["max_seq_length"]:
                tokens += len(self.rows[place % len(self.rows)])
                place += 1
        return [self.rows[i % len(self.rows)] for i in range(start, place)]


def make(variant, changes):
    config = dict(COMMON, train_data_path="../../data/pairs.jsonl", val_data_path="../../data/pairs_valid.jsonl")
    config |= changes
    rows = read_rows("pairs.jsonl", config["max_seq_length"])
    validation = read_rows("pairs_valid.jsonl", config["max_seq_length"])
    model = load_with_adapter(BASE, BASE)
    named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad]
    kind = PackedRun if config.get("packing") else Run
    layers = SPECS[BASE]["config"]["num_hidden_layers"]
    run = kind(named, lambda r: loss_sum(model, r), config, layers, rows, validation).run()
    folder = os.path.join(HERE, "training", variant)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    paths = dict(experiment_name=variant, base_model_path=f"../../models/{BASE}",
                 adapter_path=f"../../adapters/{BASE}")
    write_json(os.path.join(folder, "config.json"), dict(paths, **config))
    write_json(os.path.join(folder, "expected.json"), dict(
        steps=run.steps, evaluations=run.evaluations, tiers=[sorted(m) for m in run.modules]))
    save_file({n: p.detach().contiguous() for n, p in run.named.items()},
              os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    print(f"{variant:20s} loss {run.steps[0]['loss']:.4f} -> {run.steps[-1]['loss']:.4f}, tokens",
          [s["tokens"] for s in run.steps])


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for variant, changes in VARIANTS.items():
        make(variant, changes)
