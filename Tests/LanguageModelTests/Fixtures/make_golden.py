"""Makes models/, adapters/ and golden/: what transformers and peft compute on five tiny models.

    python make_golden.py

Needs torch, transformers, peft, tokenizers and safetensors (made with 2.15, 5.23, 0.21, 0.23 and 0.8). Eager
attention, float32, one thread. README.md says what each file holds.
"""

import os

import torch
import transformers
from peft import PeftModel
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

import golden_models
from float64_model import Model
from golden_models import HERE, SPECS, adapter_folder, model_folder, write_json

ROW_LENGTHS = [23, 9, 2, 16]


def load(name):
    model, info = AutoModelForCausalLM.from_pretrained(
        model_folder(name), dtype=torch.float32, attn_implementation="eager", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"], info
    model.config.use_cache = False
    return model.train()


def load_with_adapter(name, adapter=None):
    model, folder = load(name), adapter_folder(adapter or name)
    if os.path.exists(os.path.join(folder, "tokenizer.json")):
        # It has tokens that were added, and their rows.
        tokenizer = Tokenizer.from_file(os.path.join(folder, "tokenizer.json"))
        model.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    return PeftModel.from_pretrained(model, folder, is_trainable=True).train()


def batch_logits(model, rows):
    """One forward pass over the rows padded at the right; returns each row's real positions."""
    width = max(map(len, rows))
    ids = torch.tensor([r + [0] * (width - len(r)) for r in rows])
    mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
    logits = model(input_ids=ids, attention_mask=mask).logits
    return [logits[i, :len(r)] for i, r in enumerate(rows)]


def loss_sum(model, rows):
    """Sum of the cross entropies of every real next token."""
    return sum(torch.nn.functional.cross_entropy(l[:-1], torch.tensor(r[1:]), reduction="sum")
               for l, r in zip(batch_logits(model, rows), rows))


def peft_name(parameter):
    return parameter.replace(".modules_to_save.default.", ".").replace(".default.", ".")


def relative(a, b):
    return ((a.double() - b.double()).norm() / b.double().norm()).item()


def gradients(loss, named):
    names, tensors = zip(*named)
    return dict(zip(names, torch.autograd.grad(loss, tensors)))


def make(name):
    spec = SPECS[name]
    generator = torch.Generator().manual_seed(201 + list(SPECS).index(name))
    rows = [torch.randint(0, spec["config"]["vocab_size"], (n,), generator=generator).tolist() for n in ROW_LENGTHS]

    base = load(name)
    base_logits = batch_logits(base, rows)
    base_loss = loss_sum(base, rows)
    full = gradients(base_loss, list(base.named_parameters())) if name in ("qwen2_f32", "llama") else {}

    model = load_with_adapter(name)
    logits = batch_logits(model, rows)
    loss = loss_sum(model, rows)
    lora = gradients(loss, [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad])
    assert len(lora) == 2 * 7 * spec["config"]["num_hidden_layers"]

    exact = Model(model_folder(name), torch.float64)
    exact_base_logits = [exact.logits(r) for r in rows]
    exact_base_loss = exact.loss_sum(rows)
    if full:
        weights = exact.trainable()
        exact_full = gradients(exact.loss_sum(rows), weights.items())
    exact.load_adapter(adapter_folder(name))
    exact_logits = [exact.logits(r) for r in rows]
    exact_loss = exact.loss_sum(rows)
    exact_lora = gradients(exact_loss, exact.lora.items())

    tensors = {f"logits.{i}": l for i, l in enumerate(logits)}
    tensors |= {f"base_logits.{i}": l for i, l in enumerate(base_logits)}
    tensors |= {f"grad.{k}": v for k, v in lora.items()}
    save_file({k: v.detach().contiguous() for k, v in tensors.items()},
              os.path.join(HERE, "golden", f"{name}.safetensors"), metadata={"format": "pt"})
    if full:
        save_file({f"grad.{k}": v.detach().contiguous() for k, v in full.items()},
                  os.path.join(HERE, "golden", f"{name}_full.safetensors"), metadata={"format": "pt"})
    worst = lambda a, b: max(((x - y).abs().max().item() for x, y in zip(a, b)))
    error = dict(
        logits_max_abs=worst(logits, exact_logits), base_logits_max_abs=worst(base_logits, exact_base_logits),
        loss_relative=abs(loss.item() / exact_loss.item() - 1),
        lora_gradient_relative=max(relative(lora[k], exact_lora[k]) for k in lora))
    if full:
        error["full_gradient_relative"] = max(relative(full[k], exact_full[k]) for k in full)
    write_json(os.path.join(HERE, "golden", f"{name}.json"), dict(
        model=f"models/{name}", adapter=f"adapters/{name}", rows=rows,
        trained_tokens=sum(len(r) - 1 for r in rows), loss_sum=loss.item(), base_loss_sum=base_loss.item(),
        loss_sum_float64=exact_loss.item(), base_loss_sum_float64=exact_base_loss.item(),
        reference_error=error))
    print(name, {k: f"{v:.1e}" for k, v in error.items()})


if __name__ == "__main__":
    torch.set_num_threads(1)
    transformers.utils.logging.disable_progress_bar()
    torch.use_deterministic_algorithms(True)
    golden_models.write_all()
    os.makedirs(os.path.join(HERE, "golden"), exist_ok=True)
    for name in SPECS:
        make(name)
