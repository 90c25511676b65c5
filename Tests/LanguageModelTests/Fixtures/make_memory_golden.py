"""Makes the variants of training/ that keep what a model knew: consolidating tiers, rehearsed rows, the base model's
distributions, EAFT.

    python make_golden.py && python make_training_golden.py && python make_memory_golden.py

Consolidating is Lookahead (Zhang et al., 2019) with as many slower copies as there are tiers; the final adapter and the
evaluations are the slowest copy's. Rehearsed rows take the place of task rows where floor((n+1)r) > floor(nr). The base's
distributions are those of the model with its adapter disabled.
"""

import copy
import math
import os
import sys

import torch
import transformers

import make_training_golden as training
from float64_model import Model
from golden_models import HERE, SPECS, adapter_folder, model_folder, write_json
from make_golden import load_with_adapter, peft_name, relative
from make_training_golden import COMMON, Run, make_optimizer, scheduled_rate, trained_tokens, training_rows, whole_relative
from safetensors.torch import save_file

REPLAY = dict(replay_data_path="../../data/replay.jsonl")
VARIANTS = dict(
    qwen2_consolidate=dict(tier_mode="consolidate", tier_update_frequencies=[1, 2, 6], consolidate_alpha=[0.5, 0.3]),
    qwen2_consolidate_reset=dict(tier_mode="consolidate", num_tiers=2, tier_update_frequencies=[1, 5],
                                 consolidate_moments="reset", lr_schedule="linear"),
    qwen2_consolidate_follow=dict(tier_mode="consolidate", tier_update_frequencies=[1, 2, 4], anchor=0.2,
                                  consolidate_moments="interpolate", optimizer="adamw", weight_decay=0.1),
    qwen2_replay=dict(REPLAY, replay_fraction=0.3),
    qwen2_replay_boundaries=dict(REPLAY, replay_fraction=0.6, replay_at="boundaries", inactive_gradients="sum"),
    qwen2_replay_soft=dict(REPLAY, replay_fraction=0.4, replay_targets="soft", kl_to_base=0.3),
    qwen2_kl_all=dict(kl_to_base=0.2, kl_on="all", tier_order="deep_fast"),
    qwen2_eaft=dict(loss="eaft"),
    qwen2_everything=dict(REPLAY, replay_fraction=0.5, replay_targets="soft", kl_to_base=0.1, loss="eaft",
                          tier_mode="consolidate", num_tiers=2, tier_update_frequencies=[1, 3], consolidate_alpha=0.5),
)


class MemoryRun(Run):
    """Run with slower copies, rehearsed rows and other losses. `logits_of(row, base)` gives [tokens, vocabulary]."""

    def __init__(self, named, loss_of_rows, logits_of, config, layer_count, rows, validation, replay):
        self.consolidates = config.get("tier_mode") == "consolidate"
        flat = dict(config, num_tiers=1, tier_update_frequencies=[1]) if self.consolidates else config
        super().__init__(named, loss_of_rows, flat, layer_count, rows, validation)
        self.given, self.logits_of, self.replay = config, logits_of, replay
        copies = config["num_tiers"] - 1 if self.consolidates else 0
        self.start = {n: p.detach().clone() for n, p in self.named.items()}
        self.copies = [copy.deepcopy(self.start) for _ in range(copies)]
        zeros = {n: (torch.zeros_like(p), torch.zeros_like(p)) for n, p in self.start.items()}
        self.copy_moments = [copy.deepcopy(zeros) for _ in range(copies)]

    # Rows

    def micro_batches(self, step):
        size, count = self.given["batch_size"], self.given["gradient_accumulation_steps"]
        share = self.given["replay_fraction"] if self.replay else 0.0
        period = self.given["tier_update_frequencies"][-1] if self.given.get("replay_at") == "boundaries" else 1
        per_step = size * count
        mixed_before = (step - 1) // period * per_step
        for g in range(count):
            batch = []
            for i in range(g * size, (g + 1) * size):
                n = mixed_before + i
                mixes = self.replay and step % period == 0
                before = math.floor((n if mixes else mixed_before) * share)
                if mixes and math.floor((n + 1) * share) > before:
                    batch.append((True, self.replay[before % len(self.replay)]))
                else:
                    batch.append((False, self.rows[((step - 1) * per_step + i - before) % len(self.rows)]))
            yield batch

    def step_gradients(self, step):
        for p in self.named.values():
            p.grad = None
        sums, counts = dict(task=0.0, replay=0.0, kl=0.0, objective=0.0), dict(task=0, replay=0)
        for batch in self.micro_batches(step):
            objective = 0.0
            for is_replay, row in batch:
                count = trained_tokens(row)
                if count == 0:
                    continue
                counts["replay" if is_replay else "task"] += count
                parts = self.row_losses(is_replay, row)
                objective = objective + parts["objective"]
                for key, value in parts.items():
                    sums[key] += value.item()
            objective.backward()
        tokens = counts["task"] + counts["replay"]
        gradients = {name: p.grad / tokens for name, p in self.named.items()}
        for p in self.named.values():
            p.grad = None
        self.extra = dict(
            replay_loss=sums["replay"] / counts["replay"] if counts["replay"] else None,
            replay_tokens=counts["replay"], objective=sums["objective"] / tokens, kl_to_base=sums["kl"] / tokens)
        return sums["task"] / counts["task"] if counts["task"] else None, gradients, tokens

    def row_losses(self, is_replay, row):
        config = self.given
        soft = is_replay and config.get("replay_targets") == "soft"
        beta = config.get("kl_to_base", 0.0) if is_replay or config.get("kl_on") == "all" else 0.0
        logits = self.logits_of(row, False)[:-1]
        logp = torch.log_softmax(logits, -1)
        labels = torch.tensor(list(row)[1:])
        cross = -logp[torch.arange(len(labels)), labels]
        zero = logp.new_zeros(())
        parts = dict(task=zero, replay=zero, kl=zero)
        if soft or beta:
            base = torch.log_softmax(self.logits_of(row, True)[:-1].detach(), -1)
            soft_cross = -(base.exp() * logp).sum()
            kl = (base.exp() * (base - logp)).sum()
        if is_replay:
            parts["replay"] = soft_cross if soft else cross.sum()
            objective = parts["replay"]
        else:
            parts["task"] = cross.sum()
            objective = parts["task"]
            if config.get("loss") == "eaft":
                top = torch.softmax(logits.detach().topk(20).values, -1)
                weight = -(top * top.log()).sum(-1) / math.log(20)
                objective = (weight * cross).sum()
        if soft or beta:
            parts["kl"] = kl
            objective = objective + beta * kl
        return dict(parts, objective=objective)

    # Slower copies

    def run_step(self, step):
        held = self.config["eval_every"]
        self.config = dict(self.config, eval_every=10**9)
        super().run_step(step)
        self.config = dict(self.config, eval_every=held)
        row = self.steps[-1]
        row.update(self.extra if self.replay or self.given.get("kl_to_base") or self.given.get("loss") == "eaft" else {})
        if self.consolidates:
            row["active_tiers"] = [0] + self.follow(step)
        if step % held == 0:
            self.evaluate(step)

    def follow(self, step):
        periods, given = self.given["tier_update_frequencies"], self.given
        alphas = given["consolidate_alpha"] if "consolidate_alpha" in given else 0.5
        alphas = alphas if isinstance(alphas, list) else [alphas] * len(self.copies)
        due = [k for k in range(1, len(periods)) if step % periods[k] == 0]
        optimizer = self.optimizers[0]
        with torch.no_grad():
            for k in due:
                for name, parameter in self.named.items():
                    slow = self.copies[k - 1][name]
                    fast = parameter if k == 1 else self.copies[k - 2][name]
                    slow += alphas[k - 1] * (fast - slow)
                    if k == len(periods) - 1 and given.get("anchor"):
                        slow += given["anchor"] * (self.start[name] - slow)
                    for faster in range(k - 1):
                        self.copies[faster][name].copy_(slow)
                    parameter.copy_(slow)
            if due and given.get("consolidate_moments") == "reset":
                for state in optimizer.state.values():
                    state["exp_avg"].zero_(), state["exp_avg_sq"].zero_(), state["step"].zero_()
            if due and given.get("consolidate_moments") == "interpolate":
                k = due[-1]
                for name, parameter in self.named.items():
                    state = optimizer.state[parameter]
                    for index, key in enumerate(("exp_avg", "exp_avg_sq")):
                        slow = self.copy_moments[k - 1][name][index]
                        slow += alphas[k - 1] * (state[key] - slow)
                        state[key].copy_(slow)
                        for level in range(k):
                            self.copy_moments[level][name][index].copy_(slow)
        return due

    def evaluate(self, step):
        """Not again while the slowest copy is the same."""
        if self.consolidates:
            period = self.given["tier_update_frequencies"][-1]
            if self.evaluations and self.evaluations[-1]["step"] // period == step // period:
                return
        fast = {n: p.detach().clone() for n, p in self.named.items()}
        with torch.no_grad():
            for name, parameter in self.named.items():
                parameter.copy_(self.copies[-1][name] if self.consolidates else fast[name])
            count = sum(trained_tokens(r) for r in self.validation)
            self.evaluations.append(dict(
                step=step, loss=self.loss_of_rows(self.validation).item() / count, tokens=count))
            for name, parameter in self.named.items():
                parameter.copy_(fast[name])

    def final(self):
        return self.copies[-1] if self.consolidates else {n: p.detach() for n, p in self.named.items()}


def make(variant, changes):
    config = dict(COMMON, **changes)
    base = "qwen2_f32"
    length = config["max_seq_length"]
    rows, validation = (training_rows(base, f, length) for f in ("train.jsonl", "valid.jsonl"))
    replay = training_rows(base, "replay.jsonl", length) if "replay_data_path" in config else None
    layers = SPECS[base]["config"]["num_hidden_layers"]

    model = load_with_adapter(base, base)
    named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad]
    start = {n: p.detach().clone() for n, p in named}

    def logits_of(row, is_base):
        ids = torch.tensor([list(row)])
        if not is_base:
            return model(ids).logits[0]
        with model.disable_adapter(), torch.no_grad():
            return model(ids).logits[0]

    loss = lambda r: training.loss_sum(model, r)
    run = MemoryRun(named, loss, logits_of, config, layers, rows, validation, replay).run()

    folder = os.path.join(HERE, "training", variant)
    os.makedirs(folder, exist_ok=True)
    paths = dict(experiment_name=variant, base_model_path=f"../../models/{base}", adapter_path=f"../../adapters/{base}")
    write_json(os.path.join(folder, "config.json"), dict(paths, **config))
    final = {n: p.contiguous() for n, p in run.final().items()}
    change = math.sqrt(sum((final[n] - start[n]).norm().item() ** 2 for n in final))
    write_json(os.path.join(folder, "expected.json"), dict(
        steps=run.steps, evaluations=run.evaluations, parameter_change=change))
    save_file(final, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    print(f"{variant:28s} loss {run.steps[0]['loss']:.4f} -> {run.steps[-1]['loss']}, change {change:.3f}, "
          f"evaluations {[(e['step'], round(e['loss'], 4)) for e in run.evaluations]}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for variant, changes in VARIANTS.items():
        if not sys.argv[1:] or variant in sys.argv[1:]:
            make(variant, changes)
