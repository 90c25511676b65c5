"""Makes golden/sampling.json and golden/scores.json: how transformers chooses tokens, and how PyTorch scores them.

    python make_generation_golden.py

Needs torch, transformers, peft and safetensors (made with 2.15, 5.24, 0.21 and 0.8). README.md says what each file holds.
"""

import json
import os

import torch
from safetensors.torch import load_file
from transformers.generation.logits_process import (
    LogitsProcessorList, RepetitionPenaltyLogitsProcessor, TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper)

from golden_models import HERE, SPECS, write_json

VOCABULARY = 40
OPTIONS = [
    {}, {"top_k": 1}, {"top_k": 5}, {"top_k": 39}, {"top_k": 100}, {"top_p": 0.01}, {"top_p": 0.5}, {"top_p": 0.9},
    {"top_p": 0.999}, {"repetition_penalty": 1.3}, {"repetition_penalty": 0.8}, {"temperature": 0.3},
    {"temperature": 2.5}, {"top_k": 7, "top_p": 0.6},
    {"repetition_penalty": 1.7, "temperature": 0.7, "top_k": 9, "top_p": 0.8},
]


def processors(options):
    """In the order of GenerationMixin._get_logits_processor."""
    steps = LogitsProcessorList()
    if "repetition_penalty" in options:
        steps.append(RepetitionPenaltyLogitsProcessor(options["repetition_penalty"]))
    if "temperature" in options:
        steps.append(TemperatureLogitsWarper(options["temperature"]))
    if "top_k" in options:
        steps.append(TopKLogitsWarper(options["top_k"]))
    if "top_p" in options:
        steps.append(TopPLogitsWarper(options["top_p"]))
    return steps


def sampling():
    """Random logits, those of "ties" from few values so that many are equal, and the probabilities that are drawn by."""
    generator = torch.Generator().manual_seed(13)
    cases = []
    for kind in ["plain", "ties"]:
        for options in OPTIONS:
            if kind == "ties" and "top_p" in options:
                continue  # torch.sort gives no order of equals
            logits = torch.randn(VOCABULARY, generator=generator) * 4
            if kind == "ties":
                logits = (logits / 2).round() * 2
            text = torch.randint(0, VOCABULARY, (12,), generator=generator)
            scores = processors(options)(text[None], logits[None].clone())[0]
            cases.append({
                "options": options, "text": text.tolist(), "logits": logits.tolist(),
                "probabilities": torch.softmax(scores.double(), -1).tolist()})
    return cases


def scores(name):
    """Over the places that have a next token, in float64 from the logits of golden/NAME.safetensors."""
    with open(os.path.join(HERE, "golden", name + ".json")) as file:
        rows = json.load(file)["rows"]
    tensors = load_file(os.path.join(HERE, "golden", name + ".safetensors"))
    divergence, correct, losses = [], [], []
    for i, row in enumerate(rows):
        own, base = (tensors[f"{kind}.{i}"][:-1].double().log_softmax(-1) for kind in ["logits", "base_logits"])
        labels = torch.tensor(row[1:])
        divergence.append(torch.nn.functional.kl_div(own, base, reduction="none", log_target=True).sum(-1))
        correct.append(own.argmax(-1) == labels)
        losses.append(torch.nn.functional.nll_loss(own, labels, reduction="none"))
    divergence = torch.cat(divergence)
    return {
        "divergences": divergence.tolist(), "mean_divergence": divergence.mean().item(),
        "correct": torch.cat(correct).sum().item(), "losses": torch.cat(losses).tolist()}


if __name__ == "__main__":
    torch.set_num_threads(1)
    write_json(os.path.join(HERE, "golden", "sampling.json"), {"cases": sampling()})
    write_json(os.path.join(HERE, "golden", "scores.json"), {name: scores(name) for name in SPECS})
