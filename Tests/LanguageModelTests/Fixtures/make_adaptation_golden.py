"""Makes the variants of training/ in which layers begin to learn at different steps or with different rates, and those of
other learning-rate schedules.

    python make_golden.py && python make_training_golden.py && python make_adaptation_golden.py

Layers that do not learn yet have `grad = None`, and their windows begin at the first step that they learn at. Rates of
their own are parameter groups of torch's optimizers. `plateau` is torch's ReduceLROnPlateau itself (min, relative 1e-4).
"""

import fnmatch
import math
import os
import sys

import torch
import transformers
from safetensors.torch import save_file

import make_training_golden as training
from golden_models import HERE, SPECS, write_json
from make_golden import load_with_adapter, loss_sum, peft_name
from make_training_golden import COMMON, Run, make_optimizer, module_of, phases, tier_scales, trained_tokens, training_rows

NEVER = 1 << 62
VARIANTS = dict(
    qwen2_gradual=dict(unfreeze="gradual", batch_size=4, layer_lr_decay=1 / 2.6, max_grad_norm=1.0),
    qwen2_unfreeze_sum=dict(unfreeze_schedule={"step 4": 3, "step 9": 4}, inactive_gradients="sum", optimizer="adamw",
                            weight_decay=0.1, lr_groups={"*.lora_b": 4.0}, max_grad_norm=1.5),
    qwen2_freeze_mean=dict(freeze=["1"], inactive_gradients="mean", lr_schedule="polynomial", lr_end=1e-3, lr_power=2.0,
                           max_grad_norm=1.5),
    qwen2_plateau=dict(lr_schedule="plateau", plateau_patience=0, plateau_factor=0.3, learning_rate=1e-2, eval_every=2,
                       max_grad_norm=1.5),
    qwen2_slanted=dict(lr_schedule="slanted_triangular", warmup_steps=0, max_grad_norm=1.5),
    qwen2_cosine_end=dict(lr_schedule="cosine", lr_end=1e-3, layer_lr_decay=0.5, tier_order="deep_fast", max_grad_norm=1.5),
)


def rate(step, config, base):
    warmup, end = config["warmup_steps"], config.get("lr_end", 0.0)
    if step <= warmup:
        return base * step / warmup
    p = (step - warmup) / max(1, config["num_steps"] - warmup + 1)
    if config["lr_schedule"] == "slanted_triangular":
        q = p / 0.1 if p <= 0.1 else 1 - (p - 0.1) / 0.9
        return base * (1 + q * 31) / 32
    share = dict(constant=1.0, plateau=1.0, cosine=0.5 * (1 + math.cos(math.pi * p)),
                 polynomial=(1 - p) ** config.get("lr_power", 1.0))[config["lr_schedule"]]
    return end + (base - end) * share if config["lr_schedule"] in ("cosine", "polynomial") else base


class AdaptedRun(Run):
    def __init__(self, named, loss_of_rows, config, layer_count, rows, validation):
        super().__init__(named, loss_of_rows, config, layer_count, rows, validation)
        self.layer_count = layer_count
        self.groups = []
        for tier, names in enumerate(self.tiers):
            firsts = {}
            for name in names:
                firsts.setdefault(self.first_step(name), []).append(name)
            self.groups += [(tier, first, members) for first, members in sorted(firsts.items())]
        self.optimizers = []
        for _, _, names in self.groups:
            optimizer = make_optimizer([self.named[names[0]]], config)
            optimizer.param_groups.clear()
            for name in names:
                optimizer.add_param_group(dict(params=[self.named[name]]))
            self.optimizers.append(optimizer)
        dummy = torch.optim.SGD([torch.zeros(1)], lr=config["learning_rate"])
        self.plateau = (dummy, torch.optim.lr_scheduler.ReduceLROnPlateau(
            dummy, factor=config.get("plateau_factor", 0.5), patience=config.get("plateau_patience", 5), threshold=1e-4,
            min_lr=config.get("lr_end", 0) or 1e-7))

    def layer_of(self, name):
        return int(module_of(name).split(".layers.")[1].split(".")[0])

    def first_step(self, name):
        frozen = {int(l) for l in self.config.get("freeze", [])}
        layer = self.layer_of(name)
        if layer in frozen:
            return NEVER
        learning = [l for l in range(self.layer_count - 1, -1, -1) if l not in frozen] if hasattr(self, "layer_count") else []
        depth = learning.index(layer)
        if depth == 0:
            return 1
        if self.config.get("unfreeze") == "gradual":
            per_step = self.config["batch_size"] * self.config["gradient_accumulation_steps"]
            # The first step before which so many epochs are over.
            return -(-depth * len(self.rows) // per_step) + 1
        stages = self.config.get("unfreeze_schedule")
        if stages:
            return min(int(at.split()[1]) for at, count in stages.items() if count > depth)
        return 1

    def scale(self, name):
        ours = module_of(name) + (".lora_a" if ".lora_A" in name else ".lora_b")
        groups = [s for pattern, s in self.config.get("lr_groups", {}).items() if fnmatch.fnmatchcase(ours, pattern)]
        below = self.layer_count - 1 - self.layer_of(name)
        return self.config.get("layer_lr_decay", 1.0) ** below * (groups[0] if groups else 1.0)

    def run_step(self, step):
        loss, gradients, tokens = self.step_gradients(step)
        mode, periods = self.config["inactive_gradients"], self.config["tier_update_frequencies"]
        active = [g for g, (tier, first, _) in enumerate(self.groups)
                  if step >= first and (step - phases(self.config)[tier]) % periods[tier] == 0]
        for g, (tier, first, names) in enumerate(self.groups):
            for name in names if step >= first else []:
                gradient = gradients[name]
                if mode != "discard":
                    held = self.windows[name]
                    gradient = gradient if held is None else held + gradient
                    self.windows[name] = None if g in active else gradient
                if g in active:
                    self.named[name].grad = gradient / periods[tier] if mode == "mean" else gradient
        due = [self.named[n] for g in active for n in self.groups[g][2]]
        norm = torch.nn.utils.clip_grad_norm_(due, self.config["max_grad_norm"]).item() if due else 0.0
        base = rate(step, self.config, self.plateau[0].param_groups[0]["lr"])
        scales = tier_scales(self.config)
        for (tier, _, names), optimizer in zip(self.groups, self.optimizers):
            for name, group in zip(names, optimizer.param_groups):
                group["lr"] = base * scales[tier] * self.scale(name)
            optimizer.step()
        self.steps.append(dict(step=step, loss=loss, tokens=tokens, learning_rate=base, active_tiers=active, grad_norm=norm))
        if step % self.config["eval_every"] == 0:
            with torch.no_grad():
                count = sum(trained_tokens(r) for r in self.validation)
                value = self.loss_of_rows(self.validation).item() / count
            self.evaluations.append(dict(step=step, loss=value, tokens=count))
            if self.config["lr_schedule"] == "plateau":
                self.plateau[1].step(value)


def make(variant, changes):
    config = dict(COMMON, **changes)
    base = "qwen2_f32"
    length = config["max_seq_length"]
    rows, validation = (training_rows(base, f, length) for f in ("train.jsonl", "valid.jsonl"))
    layers = SPECS[base]["config"]["num_hidden_layers"]
    model = load_with_adapter(base, base)
    AdaptedRun.layer_count = layers
    named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad]
    run = AdaptedRun(named, lambda r: loss_sum(model, r), config, layers, rows, validation)
    run.run()
    folder = os.path.join(HERE, "training", variant)
    os.makedirs(folder, exist_ok=True)
    paths = dict(experiment_name=variant, base_model_path="../../models/qwen2_f32", adapter_path="../../adapters/qwen2_f32")
    write_json(os.path.join(folder, "config.json"), dict(paths, **config))
    write_json(os.path.join(folder, "expected.json"), dict(steps=run.steps, evaluations=run.evaluations))
    save_file({n: p.detach().contiguous() for n, p in run.named.items()},
              os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    print(f"{variant:20s} loss {run.steps[0]['loss']:.4f} -> {run.steps[-1]['loss']:.4f}, first steps "
          f"{[first if first < NEVER else None for _, first, _ in run.groups]}, rates "
          f"{[round(s['learning_rate'], 5) for s in run.steps]}, norms {[round(s['grad_norm'], 2) for s in run.steps][:5]}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for variant, changes in VARIANTS.items():
        if not sys.argv[1:] or variant in sys.argv[1:]:
            make(variant, changes)
