"""Makes training/qwen2_adversary, qwen2_adversary_tasks and qwen2_domain_norms: twelve steps of nested training in PyTorch
with rows of several domains.

    python make_golden.py && python make_domains_golden.py

The adversary is that of Ganin and others (2016): gradient reversal is an autograd function, the identity forward and −λ
backward, over the mean of a row's last hidden states; after it three torch.nn.functional.linear with relu between them, and
the mean over the step's rows of the cross entropy of their domains. λ at step t of T is most·(2/(1 + exp(−α(t − 1)/T)) − 1).
Rows without a label have their domain told alone. Norms by domain are hooks on the modules of transformers: the output of a
norm times a scale and plus a shift of the row's domain.
"""

import json
import math
import os
import shutil

import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, linear, relu

import make_training_golden
from golden_models import HERE, SPECS, adapter_folder, model_folder, read_texts, write_json
from make_golden import load_with_adapter, peft_name
from make_training_golden import COMMON, Run, end_of_text

BASE = "qwen2_f32"
PAD = 299
DOMAINS = ["river", "market", "road"]
TOPIC = dict(name="topic", type="classification", labels=["quiet", "loud"])
IGNORED = -100

VARIANTS = dict(
    qwen2_adversary=dict(discriminator=True, adaptation_adversary=0.8, adaptation_adversary_alpha=6.0,
                         inactive_gradients="mean", max_grad_norm=4.0),
    qwen2_adversary_tasks=dict(discriminator=True, norms="final", tasks=[TOPIC], adaptation_adversary=1.5,
                               optimizer="adamw", weight_decay=0.1, max_grad_norm=6.0, lr_groups={"discriminator.*": 3.0}),
    qwen2_domain_norms=dict(norms="all", inactive_gradients="sum", tier_order="deep_fast", max_grad_norm=2.5,
                            lr_groups={"*.domains.market.*": 2.0}),
)


def write_rows():
    for suffix, file in (("", "train.jsonl"), ("_valid", "valid.jsonl")):
        rows = []
        for i, text in enumerate(read_texts(file)):
            row = dict(text=text, domain=DOMAINS[(i * 2 + i // 3) % 3])
            if suffix or i % 3:
                row["label"] = TOPIC["labels"][len(text) % 2]
            elif i % 2:
                row["label"] = None
            rows.append(row)
        with open(os.path.join(HERE, "data", f"domains{suffix}.jsonl"), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in rows)


class Row(list):
    """Token ids; `labels` has one for each, IGNORED where there is none; `domain` is its number."""


def read_rows(path, config):
    tokenizer = Tokenizer.from_file(os.path.join(model_folder(BASE), "tokenizer.json"))
    end, most = end_of_text(model_folder(BASE), tokenizer), config["max_seq_length"]
    rows = []
    with open(os.path.normpath(os.path.join(HERE, "training", "variant", path)), encoding="utf-8") as f:
        for line in map(json.loads, f):
            ids = tokenizer.encode(line["text"]).ids
            if "tasks" in config:
                ids = ids[:most]
                label = line.get("label")
                labels = [IGNORED] * (len(ids) - 1) + [IGNORED if label is None else TOPIC["labels"].index(label)]
            else:
                ids = (ids + [end])[:most]
                labels = ids[1:] + [IGNORED]
            row = Row(ids)
            row.labels, row.domain = labels, DOMAINS.index(line["domain"])
            rows.append(row)
    return rows


def label_count(row):
    return sum(label != IGNORED for label in row.labels)


class Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, factor):
        ctx.factor = factor
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.factor * gradient, None


class Domains:
    """The transformer, and what depends on domains."""

    def __init__(self, model, own, config):
        self.model, self.own, self.config, self.current = model.base_model.model, own, config, None
        for name, module in self.model.named_modules():
            if f"{name}.domains.{DOMAINS[0]}.scale" in own:
                module.register_forward_hook(self.hook(name))

    def hook(self, name):
        def scaled(module, inputs, output):
            stack = lambda part: torch.stack([self.own[f"{name}.domains.{DOMAINS[d]}.{part}"] for d in self.current])
            return output * stack("scale")[:, None] + stack("shift")[:, None]
        return scaled

    def states(self, rows):
        """The last hidden states of each row."""
        width = max(map(len, rows))
        ids = torch.tensor([r + [PAD] * (width - len(r)) for r in rows])
        mask = torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])
        self.current = [r.domain for r in rows]
        output = self.model.model(input_ids=ids, attention_mask=mask).last_hidden_state
        return [x[:len(r)] for x, r in zip(output, rows)]

    def loss(self, states, row):
        scores = states @ self.own["heads.topic.score.weight"].T if "tasks" in self.config else self.model.lm_head(states)
        return cross_entropy(scores, torch.tensor(row.labels), ignore_index=IGNORED, reduction="sum")

    def domain_loss(self, states, row, reversal):
        x = Reversal.apply(states.mean(0), reversal)
        for layer in range(3):
            x = linear(x if layer == 0 else relu(x), self.own[f"discriminator.{layer}.weight"],
                       self.own[f"discriminator.{layer}.bias"])
        return cross_entropy(x, torch.tensor(row.domain)), x.argmax().item() == row.domain


class DomainRun(Run):
    def __init__(self, named, domains, config, layer_count, rows, validation):
        super().__init__(named, None, config, layer_count, rows, validation)
        self.domains, self.extra = domains, {}
        for optimizer, names in zip(self.optimizers, self.tiers):
            group = dict(optimizer.param_groups[0])
            optimizer.param_groups.clear()
            for name in names:
                optimizer.add_param_group(dict(group, params=[self.named[name]]))

    def rate_of(self, name):
        from fnmatch import fnmatchcase
        return next((r for p, r in self.config.get("lr_groups", {}).items() if fnmatchcase(ours(name), p)), 1.0)

    def step_gradients(self, step):
        for p in self.named.values():
            p.grad = None
        batches = list(self.micro_batches(step))
        count = sum(map(len, batches))
        tokens = sum(label_count(r) for b in batches for r in b)
        most, alpha = self.config.get("adaptation_adversary", 0), self.config.get("adaptation_adversary_alpha", 10.0)
        reversal = most * (2 / (1 + math.exp(-alpha * (step - 1) / self.config["num_steps"])) - 1)
        total, domain_total, right = 0.0, 0.0, 0
        for rows in batches:
            objective = 0.0
            for states, row in zip(self.domains.states(rows), rows):
                if label_count(row):
                    loss = self.domains.loss(states, row) / max(1, tokens)
                    objective = objective + loss
                    total += loss.item()
                if most:
                    loss, told = self.domains.domain_loss(states, row, reversal)
                    objective = objective + loss / count
                    domain_total += loss.item()
                    right += told
            objective.backward()
        gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad.clone() for n, p in self.named.items()}
        for p in self.named.values():
            p.grad = None
        self.extra = dict(domain_loss=domain_total / count, domain_accuracy=right / count,
                          adversary_lambda=reversal) if most else {}
        if most and "tasks" not in self.config:
            self.extra["replay_tokens"] = 0
        return total, gradients, tokens

    def run_step(self, step):
        every = self.config["eval_every"]
        self.config["eval_every"] = 1 << 30
        for optimizer, names in zip(self.optimizers, self.tiers):
            # Each optimizer's first group gets the rate of the step, the others follow it.
            step_of = optimizer.step
            def with_rates(optimizer=optimizer, names=names, step_of=step_of):
                base = optimizer.param_groups[0]["lr"]
                for group, name in zip(optimizer.param_groups, names):
                    group["lr"] = base * self.rate_of(name)
                step_of()
                optimizer.step = step_of
            optimizer.step = with_rates
        super().run_step(step)
        self.config["eval_every"] = every
        self.steps[-1].update(self.extra)
        if step % every == 0:
            with torch.no_grad():
                count = sum(map(label_count, self.validation))
                losses = [self.domains.loss(s, r) for s, r in zip(self.domains.states(self.validation), self.validation)]
                self.evaluations.append(dict(step=step, loss=sum(losses).item() / count, tokens=count))


def ours(name):
    """A PEFT name as this project has it."""
    return name.removeprefix("base_model.model.").removesuffix(".weight").replace(".lora_A", ".lora_a").replace(
        ".lora_B", ".lora_b") if name.startswith("base_model.") else name


def tier_of(name, config, layer_count, names):
    """Heads and the discriminator are in tier 0; scales and shifts where their layer is."""
    if name.startswith(("heads.", "discriminator.")):
        return name.rsplit(".", 1)[0], 0
    if ".domains." in name:
        return name.rsplit(".", 1)[0], plain_tier_of(name, config, layer_count, names)[1]
    return plain_tier_of(name, config, layer_count, names)


plain_tier_of, make_training_golden.tier_of = make_training_golden.tier_of, tier_of


def own_tensors(changes):
    """What a checkpoint has beside the pairs."""
    generator, hidden = torch.Generator().manual_seed(37), SPECS[BASE]["config"]["hidden_size"]
    layers = SPECS[BASE]["config"]["num_hidden_layers"]
    tensors = {}
    widths = [hidden, 256, 64, len(DOMAINS)]
    for layer in range(3) if changes.get("discriminator") else ():
        tensors[f"discriminator.{layer}.weight"] = 0.15 * torch.randn(widths[layer + 1], widths[layer], generator=generator)
        tensors[f"discriminator.{layer}.bias"] = 0.1 * torch.randn(widths[layer + 1], generator=generator)
    norms = ["model.norm"] if changes.get("norms") else []
    if changes.get("norms") == "all":
        norms += [f"model.layers.{i}.{n}" for i in range(layers) for n in ("input_layernorm", "post_attention_layernorm")]
    for norm in norms:
        for domain in DOMAINS:
            tensors[f"{norm}.domains.{domain}.scale"] = 1 + 0.1 * torch.randn(hidden, generator=generator)
            tensors[f"{norm}.domains.{domain}.shift"] = 0.1 * torch.randn(hidden, generator=generator)
    heads = {}
    if "tasks" in changes:
        heads["heads.topic.score.weight"] = 0.2 * torch.randn(2, hidden, generator=generator)
    return tensors, heads


def make_adapter(name, changes):
    folder = adapter_folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(adapter_folder(BASE), folder)
    tensors, heads = own_tensors(changes)
    described = dict(names=DOMAINS)
    if changes.get("discriminator"):
        described["discriminator"] = True
    if changes.get("norms"):
        described["norms"] = changes["norms"]
    write_json(os.path.join(folder, "domains.json"), described)
    save_file(tensors, os.path.join(folder, "domains.safetensors"), metadata={"format": "pt"})
    if heads:
        save_file(heads, os.path.join(folder, "task_heads.safetensors"), metadata={"format": "pt"})
        write_json(os.path.join(folder, "task_heads.json"), dict(heads=changes["tasks"]))


def make(variant, changes):
    make_adapter(variant, changes)
    config = dict(COMMON, train_data_path="../../data/domains.jsonl", val_data_path="../../data/domains_valid.jsonl",
                  adaptation_domains=DOMAINS, **{k: v for k, v in changes.items() if k not in ("discriminator", "norms")})
    rows, validation = read_rows(config["train_data_path"], config), read_rows(config["val_data_path"], config)
    own = {}
    for file in ("domains.safetensors", "task_heads.safetensors"):
        path = os.path.join(adapter_folder(variant), file)
        if os.path.exists(path):
            own.update({n: torch.nn.Parameter(t) for n, t in load_file(path).items()})
    model = load_with_adapter(BASE, BASE)
    named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad] + list(own.items())
    run = DomainRun(named, Domains(model, own, config), config, SPECS[BASE]["config"]["num_hidden_layers"], rows,
                    validation).run()
    folder = os.path.join(HERE, "training", variant)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    paths = dict(experiment_name=variant, base_model_path=f"../../models/{BASE}",
                 adapter_path=f"../../adapters/{variant}")
    if changes.get("norms"):
        paths["adaptation_norms"] = changes["norms"]
    write_json(os.path.join(folder, "config.json"), dict(paths, **config))
    write_json(os.path.join(folder, "expected.json"), dict(
        steps=run.steps, evaluations=run.evaluations, tiers=[sorted(m) for m in run.modules]))
    final = {n: p.detach().contiguous() for n, p in run.named.items()}
    files = {"adapter_model.safetensors": lambda n: n not in own,
             "domains.safetensors": lambda n: n in own and not n.startswith("heads."),
             "task_heads.safetensors": lambda n: n.startswith("heads.")}
    for file, holds in files.items():
        tensors = {n: t for n, t in final.items() if holds(n)}
        # PEFT's form for one task holds its head too.
        if file == "adapter_model.safetensors" and "heads.topic.score.weight" in final:
            tensors["base_model.model.score.weight"] = final["heads.topic.score.weight"]
        if tensors:
            save_file(tensors, os.path.join(folder, file), metadata={"format": "pt"})
    clipped = sum(s["grad_norm"] > config["max_grad_norm"] for s in run.steps)
    print(f"{variant:24s} loss {run.steps[0]['loss']:.4f} -> {run.steps[-1]['loss']:.4f}, clipped {clipped}/12, domains "
          f"{run.steps[0].get('domain_loss')} -> {run.steps[-1].get('domain_loss')}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    write_rows()
    for variant, changes in VARIANTS.items():
        make(variant, changes)
