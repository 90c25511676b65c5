"""Makes the variants of training/ for which something is measured before training, and the one whose adapter is scaled
after it.

    python make_golden.py && python make_training_golden.py && python make_start_golden.py

qwen2_importance divides modules by the mean of ||g||_2 / sqrt(elements) over six steps in which nothing is updated.
qwen2_flow weights rows by e^(-l/tau) over its mean, l the row's mean cross entropy at the start and tau the lower median.
trained_stm leaves out the tokens whose cross entropy at the start is above ln 2.5; its base is the one of
examples/quickstart, since a random model gives no token 40 %. qwen2_ewc adds lambda F (theta - theta_start), F the mean of
the squared gradients of rows over its mean; qwen2_l2_sp has F = 1. qwen2_scaled evaluates the adapter at smaller scales.
"""

import math
import os
import sys

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

import make_training_golden as training
from golden_models import HERE, SPECS, adapter_folder, model_folder, read_texts, write_json
from make_golden import load_with_adapter, loss_sum, peft_name
from make_memory_golden import MemoryRun
from make_training_golden import COMMON, module_of, trained_tokens, training_rows

QUICKSTART = os.path.join(HERE, "../../../examples/quickstart/base")
VARIANTS = dict(
    qwen2_importance=dict(tier_assignment_strategy="parameter_importance", importance_steps=6, max_grad_norm=1.5),
    qwen2_flow=dict(loss="flow"),
    trained_stm=dict(loss="stm", train_data_path="../../data/words.jsonl", val_data_path="../../data/words.jsonl",
                     max_seq_length=96, learning_rate=2e-2),
    qwen2_ewc=dict(ewc_lambda=20.0, ewc_data_path="../../data/replay.jsonl", ewc_rows=5, max_grad_norm=1.5),
    qwen2_l2_sp=dict(l2_sp_lambda=2.0, inactive_gradients="mean", tier_order="deep_fast", max_grad_norm=1.5),
    qwen2_both=dict(ewc_lambda=0.2, l2_sp_lambda=0.1, replay_data_path="../../data/replay.jsonl", replay_fraction=0.3,
                    tier_mode="consolidate", num_tiers=2, tier_update_frequencies=[1, 3], loss="flow"),
    qwen2_scaled=dict(select_scale=True, scale_tolerance=0.05, learning_rate=2e-2, max_grad_norm=5.0),
)


class Row(list):
    """Token ids, of which only some are trained."""

    def __init__(self, ids, trained, weight=1.0):
        super().__init__(ids)
        self.trained, self.weight = trained, weight


class StartRun(MemoryRun):
    penalty = None

    def row_losses(self, is_replay, row):
        logits = self.logits_of(row, False)[:-1]
        labels = torch.tensor(list(row)[1:])
        cross = -torch.log_softmax(logits, -1)[torch.arange(len(labels)), labels]
        cross = cross[torch.tensor(getattr(row, "trained", [True] * len(row))[1:])]
        zero = logits.new_zeros(())
        parts = dict(task=zero, replay=zero, kl=zero)
        parts["replay" if is_replay else "task"] = cross.sum()
        weight = 1.0 if is_replay else getattr(row, "weight", 1.0)
        return dict(parts, objective=weight * cross.sum())

    def place_gradients(self, gradients, active):
        super().place_gradients(gradients, active)
        if self.penalty is None:
            return
        self.value = sum((c * (p - self.start[n]) ** 2).sum().item() / 2
                         for (n, p), c in zip(self.named.items(), self.penalty.values()))
        with torch.no_grad():
            for name, parameter in self.named.items():
                if parameter.grad is not None:
                    parameter.grad = parameter.grad + self.penalty[name] * (parameter - self.start[name])

    def run_step(self, step):
        super().run_step(step)
        if self.penalty is not None:
            self.steps[-1]["weight_penalty"] = self.value
        if self.given.get("loss") == "flow":
            self.steps[-1].update(self.extra)


def row_cross(run, row):
    with torch.no_grad():
        logp = torch.log_softmax(run.logits_of(row, False)[:-1], -1)
    return -logp[torch.arange(len(row) - 1), torch.tensor(list(row)[1:])].double()


def importance(run, steps):
    """The mean of ||g||_2 / sqrt(elements) by module, over the first steps, nothing updated."""
    norms = {}
    for step in range(1, steps + 1):
        _, gradients, _ = run.step_gradients(step)
        squares, counts = {}, {}
        for name, gradient in gradients.items():
            module = module_of(name)
            squares[module] = squares.get(module, 0.0) + gradient.double().pow(2).sum().item()
            counts[module] = counts.get(module, 0) + gradient.numel()
        for module in squares:
            norms[module] = norms.get(module, 0.0) + math.sqrt(squares[module] / counts[module])
    return {module: norm / steps for module, norm in norms.items()}


def fisher(run, rows):
    """Sums over rows of squared gradients of the row's summed cross entropy, over their mean."""
    squares = {name: torch.zeros_like(p) for name, p in run.named.items()}
    for row in rows:
        for p in run.named.values():
            p.grad = None
        run.loss_of_rows([row]).backward()
        for name, p in run.named.items():
            squares[name] += p.grad ** 2
    for p in run.named.values():
        p.grad = None
    mean = torch.cat([s.double().flatten() for s in squares.values()]).mean()
    return {name: (s.double() / mean).float() for name, s in squares.items()}


def small_adapter():
    """Of rank 2 on the queries and values of two layers of the quickstart's base, B not zero."""
    folder = adapter_folder("trained")
    if os.path.exists(folder):
        return folder
    torch.manual_seed(5)
    base = AutoModelForCausalLM.from_pretrained(QUICKSTART, dtype=torch.float32)
    model = get_peft_model(base, LoraConfig(
        task_type="CAUSAL_LM", r=2, lora_alpha=4, target_modules=["q_proj", "v_proj"], layers_to_transform=[1, 3, 4]))
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            parameter.data.normal_(std=0.02)
    model.save_pretrained(folder, safe_serialization=True)
    return folder


def prepared(variant, config):
    length = config["max_seq_length"]
    if variant != "trained_stm":
        base = "qwen2_f32"
        rows, validation = (training_rows(base, f, length) for f in ("train.jsonl", "valid.jsonl"))
        return load_with_adapter(base, base), rows, validation, SPECS[base]["config"]["num_hidden_layers"]
    folder = small_adapter()
    base = AutoModelForCausalLM.from_pretrained(QUICKSTART, dtype=torch.float32, attn_implementation="eager")
    base.config.use_cache = False
    tokenizer = Tokenizer.from_file(os.path.join(QUICKSTART, "tokenizer.json"))
    rows = [(tokenizer.encode(t).ids + [4093])[:length] for t in read_texts("words.jsonl")]
    return PeftModel.from_pretrained(base, folder, is_trainable=True).train(), rows, list(rows), 6


def make(variant, changes):
    config = dict(COMMON, **changes)
    model, rows, validation, layers = prepared(variant, config)
    replay = training_rows("qwen2_f32", "replay.jsonl", config["max_seq_length"])
    named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad]

    def logits_of(row, is_base):
        return model(torch.tensor([list(row)])).logits[0]

    loss = lambda r: loss_sum(model, r)
    extra = {}
    flat = dict(config, tier_assignment_strategy="layer_depth")
    run = StartRun(named, loss, logits_of, flat, layers, rows, validation,
                   replay if "replay_data_path" in config else None)
    if config["tier_assignment_strategy"] == "parameter_importance":
        norms = importance(run, config["importance_steps"])
        ranked = sorted(norms, key=lambda m: (-norms[m], m))
        tiers, count = config["num_tiers"], len(ranked)
        tier = {m: min(i // (count // tiers), tiers - 1) for i, m in enumerate(ranked)}
        training.type_tier = lambda module, _: tier[module]
        run = StartRun(named, loss, logits_of, dict(config, tier_assignment_strategy="module_type"), layers, rows,
                       validation, None)
        extra["importance"] = norms
        extra["tiers"] = [sorted(m) for m in run.modules]
    if config.get("loss") == "flow":
        means = [row_cross(run, r).mean().item() for r in rows]
        tau = sorted(means)[(len(means) - 1) // 2]
        weights = [math.exp(-m / tau) for m in means]
        mean = sum(weights) / len(weights)
        run.rows = [Row(r, [True] * len(r), w / mean) for r, w in zip(rows, weights)]
    if config.get("loss") == "stm":
        kept = [[False] + (row_cross(run, r) <= math.log(2.5)).tolist() for r in rows]
        run.rows = [Row(r, k) for r, k in zip(rows, kept) if any(k)]
        extra["rows"], extra["masked"] = len(run.rows), sum(len(k) - 1 - sum(k) for k in kept)
        assert 0 < len(run.rows) < len(rows) and min(abs(row_cross(run, r) - math.log(2.5)).min() for r in rows) > 1e-4
    if config.get("ewc_lambda") or config.get("l2_sp_lambda"):
        squares = fisher(run, replay[:config.get("ewc_rows", 256)]) if config.get("ewc_lambda") else None
        run.penalty = {n: (config["ewc_lambda"] * squares[n] if squares else torch.zeros_like(p))
                       + config.get("l2_sp_lambda", 0.0) for n, p in run.named.items()}
    run.run()
    if config.get("select_scale"):
        extra["select_scale"] = curve(run, model, config)

    folder = os.path.join(HERE, "training", variant)
    os.makedirs(folder, exist_ok=True)
    base, adapter = ("../../../../../examples/quickstart/base", "trained") if variant == "trained_stm" else (
        "../../models/qwen2_f32", "qwen2_f32")
    paths = dict(experiment_name=variant, base_model_path=base, adapter_path=f"../../adapters/{adapter}")
    write_json(os.path.join(folder, "config.json"), dict(paths, **config))
    final = {n: p.contiguous() for n, p in run.final().items()}
    write_json(os.path.join(folder, "expected.json"), dict(
        steps=run.steps, evaluations=run.evaluations, **extra))
    save_file(final, os.path.join(folder, "adapter_model.safetensors"), metadata={"format": "pt"})
    print(f"{variant:20s} loss {run.steps[0]['loss']:.4f} -> {run.steps[-1]['loss']:.4f}, "
          f"norms {[round(s['grad_norm'], 2) for s in run.steps][:4]}", {k: v for k, v in extra.items() if k != "tiers"})


def curve(run, model, config):
    """Losses of s = .95, .90, ... up to the first that exceeds that of 1 by more than the tolerance."""
    pairs = [m for m in model.modules() if isinstance(getattr(m, "scaling", None), dict)]
    whole = [dict(m.scaling) for m in pairs]
    trials, count = [], sum(trained_tokens(r) for r in run.validation)
    for k in range(19, 0, -1):
        for module, scaling in zip(pairs, whole):
            for key in scaling:
                module.scaling[key] = scaling[key] * k / 20
        with torch.no_grad():
            loss = run.loss_of_rows(run.validation).item() / count
        trials.append(dict(scale=k / 20, loss=loss, holds=loss <= run.evaluations[-1]["loss"] + config["scale_tolerance"]))
        if not trials[-1]["holds"]:
            break
    for module, scaling in zip(pairs, whole):
        module.scaling.update(scaling)
    held = [t["scale"] for t in trials if t["holds"]]
    return dict(scale=held[-1] if held else 1, tolerance=config["scale_tolerance"], curve=trials)


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    for variant, changes in VARIANTS.items():
        if not sys.argv[1:] or variant in sys.argv[1:]:
            make(variant, changes)
