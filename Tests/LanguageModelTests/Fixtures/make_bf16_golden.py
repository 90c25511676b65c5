"""Makes golden/bf16.json: how far PyTorch's own training in bf16 is from float64 on the five tiny models.

    python make_golden.py && python make_bf16_golden.py

Two ways in which people train in bf16, each against the same mathematics in float64 (float64_model.py):
  autocast   torch.autocast("cpu", torch.bfloat16), weights in float32: products in bf16
  cast       the base model's weights and activations in bf16 altogether, adapters in float32 (PEFT's default)
For each: |loss/exact − 1|, ‖Δ‖/‖exact‖ over the gradients of all LoRA tensors together, and the largest of one tensor.
"""

import contextlib
import json
import os

import torch
import transformers
from peft import PeftModel
from transformers import AutoModelForCausalLM

from float64_model import Model
from golden_models import HERE, SPECS, adapter_folder, model_folder, write_json
from make_golden import gradients, load_with_adapter, loss_sum, peft_name, relative


def cast(name):
    model = AutoModelForCausalLM.from_pretrained(
        model_folder(name), dtype=torch.bfloat16, attn_implementation="eager")
    model.config.use_cache = False
    return PeftModel.from_pretrained(model.train(), adapter_folder(name), is_trainable=True).train()


def errors(model, rows, exact_loss, exact, context):
    with context:
        loss = loss_sum(model, rows)
    lora = gradients(loss, [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad])
    together = lambda tensors: torch.cat([tensors[k].double().flatten() for k in sorted(exact)])
    return dict(
        loss=abs(loss.item() / exact_loss - 1), gradients=relative(together(lora), together(exact)),
        worst_gradient=max(relative(lora[k], exact[k]) for k in exact))


def make(name):
    with open(os.path.join(HERE, "golden", f"{name}.json")) as f:
        rows = json.load(f)["rows"]
    model = Model(model_folder(name), torch.float64)
    model.load_adapter(adapter_folder(name))
    loss = model.loss_sum(rows)
    exact = gradients(loss, model.lora.items())
    return dict(
        autocast=errors(load_with_adapter(name), rows, loss.item(), exact, torch.autocast("cpu", torch.bfloat16)),
        cast=errors(cast(name), rows, loss.item(), exact, contextlib.nullcontext()))


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    write_json(os.path.join(HERE, "golden", "bf16.json"), {name: make(name) for name in SPECS})
