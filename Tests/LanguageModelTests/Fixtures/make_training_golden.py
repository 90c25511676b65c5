"""Makes training/: twelve steps of nested training in PyTorch, in the variants listed below.

    python make_golden.py && python make_training_golden.py

Each tier has a torch optimizer of its own, whose parameters have `grad = None` on the steps on which the tier is not
active, so torch keeps m, v and the step count of an inactive tier as they are. Losses and gradients are summed over the
real next tokens of a step and divided once by their number. With `mean` and `sum` the steps' gradients are added
up and applied at the tier's next active step (`mean` divides by the period). Clipping is torch's clip_grad_norm_
over all gradients about to be applied.
"""

import fnmatch
import json
import math
import os
import shutil
import sys

import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer

from float64_model import Model
from golden_models import HERE, SPECS, adapter_folder, model_folder, read_texts, write_json
from make_golden import load, load_with_adapter, loss_sum, peft_name, relative

COMMON = dict(
    train_data_path="../../data/train.jsonl", val_data_path="../../data/valid.jsonl", num_steps=12, batch_size=2,
    gradient_accumulation_steps=3, max_seq_length=32, shuffle=False, warmup_steps=4, num_tiers=3,
    tier_update_frequencies=[1, 2, 4], tier_assignment_strategy="layer_depth", tier_order="shallow_fast",
    inactive_gradients="discard", tier_lr_scale="none", optimizer="adam", lr_schedule="constant", learning_rate=3e-3,
    weight_decay=0.0, max_grad_norm=2.1, eval_every=6, early_stop=False)

VARIANTS = dict(
    qwen2_discard_shallow=dict(),
    qwen2_discard_deep=dict(tier_order="deep_fast", tier_lr_scale="inverse_frequency", optimizer="adamw",
                            weight_decay=0.1, lr_schedule="cosine"),
    qwen2_mean_shallow=dict(inactive_gradients="mean", lr_schedule="linear"),
    qwen2_mean_deep=dict(inactive_gradients="mean", tier_order="deep_fast", tier_lr_scale="inverse_frequency",
                         optimizer="sgd", learning_rate=0.1),
    qwen2_sum_shallow=dict(inactive_gradients="sum", tier_lr_scale="inverse_frequency", lr_schedule="cosine"),
    qwen2_sum_deep=dict(inactive_gradients="sum", tier_order="deep_fast", optimizer="adamw", weight_decay=0.05,
                        lr_schedule="linear", beta1=0.8, beta2=0.95, eps=1e-6, max_grad_norm=3.0),
    qwen2_sgd_decay=dict(optimizer="sgd", learning_rate=0.1, weight_decay=0.2, lr_schedule="cosine",
                         warmup_steps=0, max_grad_norm=1.9),
    # No tier is active at step 1; what the windows of 3 and 5 hold at the end is not applied.
    qwen2_mean_uneven=dict(inactive_gradients="mean", tier_update_frequencies=[2, 3, 5], weight_decay=0.01),
    qwen2_manual_sum=dict(
        inactive_gradients="sum", tier_assignment_strategy="manual", tier_lr_scale=[1.0, 0.5, 0.25], default_tier=2,
        max_grad_norm=2.5,
        manual_tier_map=[dict(pattern="model.layers.0.*", tier=0), dict(pattern="*.mlp.down_proj", tier=0),
                         dict(pattern="*.mlp.*", tier=1)]),
    # Attention fast, the rest slow; and as the config has it, the name of a module before its type.
    qwen2_module_type=dict(tier_assignment_strategy="module_type", num_tiers=2, tier_update_frequencies=[1, 3],
                           max_grad_norm=1.5),
    qwen2_module_map=dict(tier_assignment_strategy="module_type", inactive_gradients="sum", max_grad_norm=3.0,
                          module_type_tiers=dict(attention=1, mlp=2, down_proj=0)),
    qwen2_random=dict(tier_assignment_strategy="random", tier_seed=17, inactive_gradients="mean", max_grad_norm=1.8),
    # The first window of a tier with a phase is shorter, and divided by the period all the same.
    qwen2_staggered_discard=dict(tier_phase="staggered", tier_update_frequencies=[2, 3, 4], optimizer="adamw",
                                 weight_decay=0.1, max_grad_norm=1.5),
    qwen2_staggered_mean=dict(tier_phase="staggered", inactive_gradients="mean", tier_update_frequencies=[1, 3, 5],
                              max_grad_norm=1.5),
    qwen2_phases_sum=dict(tier_phase=[1, 0, 3], inactive_gradients="sum", tier_update_frequencies=[2, 3, 4],
                          tier_order="deep_fast", tier_lr_scale="inverse_frequency", max_grad_norm=2.5),
    qwen2_plain=dict(num_tiers=1, tier_update_frequencies=[1], batch_size=1, gradient_accumulation_steps=5,
                     max_grad_norm=3.2),
    qwen2_bf16_discard=dict(base="qwen2_bf16", max_grad_norm=3.0),
    # A set of modules that is no grid, with ranks and alphas of their own.
    qwen2_irregular=dict(adapter="qwen2_irregular", inactive_gradients="mean", max_grad_norm=1.2),
    # Embedding, head and last norm as a whole beside the pairs (modules_to_save).
    qwen2_saved=dict(adapter="qwen2_saved", inactive_gradients="sum", tier_order="deep_fast", max_grad_norm=2.0),
    # Two tokens that were added, with rows that began as the mean row.
    qwen2_tokens=dict(adapter="qwen2_tokens", inactive_gradients="mean", max_grad_norm=2.0),
    qwen3_discard=dict(base="qwen3", tier_order="deep_fast"),
    llama_discard=dict(base="llama", lr_schedule="linear", max_grad_norm=1.7),
    mistral_discard=dict(base="mistral", tier_order="deep_fast", lr_schedule="cosine", max_grad_norm=0.5),
    llama_full_mean=dict(base="llama", trainable="full", inactive_gradients="mean", optimizer="adamw",
                         weight_decay=0.01, max_grad_norm=3.0),
)


def end_of_text(folder, tokenizer):
    with open(os.path.join(folder, "tokenizer_config.json")) as f:
        token = json.load(f).get("eos_token")
    if token is not None:
        return tokenizer.token_to_id(token if isinstance(token, str) else token["content"])
    with open(os.path.join(folder, "generation_config.json")) as f:
        ids = json.load(f)["eos_token_id"]
    return ids[0] if isinstance(ids, list) else ids


def training_rows(base, file, max_length, tokenizer_folder=None):
    """The first max_length of: the ids, BOS counted and the tokenizer's own end of text dropped, then end of text. A row
    that is cut does not end in an end of text."""
    tokenizer = Tokenizer.from_file(os.path.join(tokenizer_folder or model_folder(base), "tokenizer.json"))
    end = end_of_text(model_folder(base), tokenizer)
    rows = []
    for text in read_texts(file):
        ids = tokenizer.encode(text).ids
        if ids and ids[-1] == end:
            ids = ids[:-1]
        rows.append((ids + [end])[:max_length])
    return rows


def trained_tokens(row):
    """Tokens of a row that have a loss: all but the first, unless the row says otherwise (make_data_golden.py)."""
    return len(row) - 1 if not hasattr(row, "trained") else sum(row.trained[1:])


def philox(counter, key):
    """Philox4x32-10 of Salmon and others, "Parallel random numbers: as easy as 1, 2, 3" (2011)."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
        c = [(b >> 32) ^ c[1] ^ k[0], b & 0xFFFFFFFF, (a >> 32) ^ c[3] ^ k[1], a & 0xFFFFFFFF]
        k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return c


def random_order(count, seed, purpose):
    """0 ... count - 1 by Fisher and Yates from the end, with numbers of 64 bits (low word first) under a key from
    (seed, purpose); numbers above the last multiple of what is drawn from are drawn again."""
    key = philox([purpose, 0, 0, 0], [seed & 0xFFFFFFFF, seed >> 32])[:2]
    words = (word for block in range(1 << 32) for word in philox([block, 0, 0, 0], key))
    order = list(range(count))
    for i in range(count - 1, 0, -1):
        while True:
            draw = next(words) | next(words) << 32
            if draw < (1 << 64) // (i + 1) * (i + 1):
                break
        j = draw % (i + 1)
        order[i], order[j] = order[j], order[i]
    return order


def module_of(name):
    module = name.removeprefix("base_model.model.").removesuffix(".weight")
    return module.removesuffix(".lora_A").removesuffix(".lora_B")


def random_tiers(names, config):
    modules = sorted({module_of(name) for name in names})
    tiers = config["num_tiers"]
    order = random_order(len(modules), config["tier_seed"], 5)
    return {modules[m]: min(i // (len(modules) // tiers), tiers - 1) for i, m in enumerate(order)}


def type_tier(module, config):
    kind = "attention" if ".self_attn." in module else "mlp" if ".mlp." in module else "other"
    tiers = config.get("module_type_tiers", dict(attention=0, mlp=1, other=1))
    return tiers.get(module.split(".")[-1], tiers.get(kind))


def phases(config):
    phase, periods = config.get("tier_phase", "aligned"), config["tier_update_frequencies"]
    if phase == "aligned":
        return [0] * len(periods)
    return [k % f for k, f in enumerate(periods)] if phase == "staggered" else phase


def tier_of(name, config, layer_count, names):
    """Tier of a parameter, by its PEFT or checkpoint name."""
    module = module_of(name)
    tiers = config["num_tiers"]
    if config["tier_assignment_strategy"] == "module_type":
        return module, type_tier(module, config)
    if config["tier_assignment_strategy"] == "random":
        return module, random_tiers(names, config)[module]
    if config["tier_assignment_strategy"] == "manual":
        matches = (e["tier"] for e in config["manual_tier_map"] if fnmatch.fnmatchcase(module, e["pattern"]))
        return module, next(matches, config["default_tier"])
    if ".layers." in module:
        layer = int(module.split(".layers.")[1].split(".")[0])
    else:
        layer = 0 if "embed_tokens" in module else layer_count - 1
    tier = min(layer // (layer_count // tiers), tiers - 1)
    return module, tier if config["tier_order"] == "shallow_fast" else tiers - 1 - tier


def scheduled_rate(step, config):
    warmup, base = config["warmup_steps"], config["learning_rate"]
    if step <= warmup:
        return base * step / warmup
    p = (step - warmup) / max(1, config["num_steps"] - warmup + 1)
    return base * dict(constant=1.0, linear=1 - p, cosine=0.5 * (1 + math.cos(math.pi * p)))[config["lr_schedule"]]


def tier_scales(config):
    scale = config["tier_lr_scale"]
    if scale == "none":
        return [1.0] * config["num_tiers"]
    return [1 / f for f in config["tier_update_frequencies"]] if scale == "inverse_frequency" else scale


def make_optimizer(parameters, config):
    decay, rate = config["weight_decay"], config["learning_rate"]
    if config["optimizer"] == "sgd":
        return torch.optim.SGD(parameters, lr=rate, weight_decay=decay)
    kind = torch.optim.AdamW if config["optimizer"] == "adamw" else torch.optim.Adam
    betas = (config.get("beta1", 0.9), config.get("beta2", 0.999))
    return kind(parameters, lr=rate, betas=betas, eps=config.get("eps", 1e-8), weight_decay=decay)


class Run:
    """Nested training of `named` parameters, given the function from rows to the sum of their token losses."""

    def __init__(self, named, loss_of_rows, config, layer_count, rows, validation):
        self.config, self.loss_of_rows, self.rows, self.validation = config, loss_of_rows, rows, validation
        self.named = dict(named)
        self.tiers = [[] for _ in range(config["num_tiers"])]
        self.modules = [set() for _ in self.tiers]
        for name in sorted(self.named):
            module, tier = tier_of(name, config, layer_count, self.named)
            self.tiers[tier].append(name)
            self.modules[tier].add(module)
        assert all(self.tiers)
        self.optimizers = [make_optimizer([self.named[n] for n in names], config) for names in self.tiers]
        self.windows = {name: None for name in self.named}
        self.steps, self.evaluations = [], []

    def micro_batches(self, step):
        size, count = self.config["batch_size"], self.config["gradient_accumulation_steps"]
        for g in range(count):
            first = (step - 1) * size * count + g * size
            yield [self.rows[i % len(self.rows)] for i in range(first, first + size)]

    def step_gradients(self, step):
        """Mean loss of the step, its gradients and its number of trained tokens."""
        for p in self.named.values():
            p.grad = None
        total, tokens = 0.0, 0
        for rows in self.micro_batches(step):
            loss = self.loss_of_rows(rows)
            loss.backward()
            total += loss.item()
            tokens += sum(trained_tokens(r) for r in rows)
        gradients = {name: p.grad / tokens for name, p in self.named.items()}
        for p in self.named.values():
            p.grad = None
        return total / tokens, gradients, tokens

    def place_gradients(self, gradients, active):
        """Puts what is to be applied at this step into `.grad`, and keeps or discards the rest."""
        mode = self.config["inactive_gradients"]
        for tier, names in enumerate(self.tiers):
            period = self.config["tier_update_frequencies"][tier]
            for name in names:
                gradient = gradients[name]
                if mode != "discard":
                    held = self.windows[name]
                    gradient = gradient if held is None else held + gradient
                    self.windows[name] = None if tier in active else gradient
                if tier in active:
                    self.named[name].grad = gradient / period if mode == "mean" else gradient

    def run_step(self, step):
        loss, gradients, tokens = self.step_gradients(step)
        clock = zip(self.config["tier_update_frequencies"], phases(self.config))
        active = [k for k, (f, phase) in enumerate(clock) if (step - phase) % f == 0]
        self.place_gradients(gradients, active)
        norm_of = lambda names: torch.stack([self.named[n].grad.norm() for n in names]).norm().item()
        tier_norms = [norm_of(names) if k in active else 0.0 for k, names in enumerate(self.tiers)]
        due = [self.named[n] for k in active for n in self.tiers[k]]
        norm = torch.nn.utils.clip_grad_norm_(due, self.config["max_grad_norm"]).item() if due else 0.0
        rate = scheduled_rate(step, self.config)
        rates = [rate * s for s in tier_scales(self.config)]
        for optimizer, tier_rate in zip(self.optimizers, rates):
            optimizer.param_groups[0]["lr"] = tier_rate
            optimizer.step()
        self.steps.append(dict(step=step, loss=loss, tokens=tokens, learning_rate=rate, tier_learning_rates=rates,
                               active_tiers=active, grad_norm=norm, tier_grad_norms=tier_norms))
        if step % self.config["eval_every"] == 0:
            with torch.no_grad():
                count = sum(trained_tokens(r) for r in self.validation)
                self.evaluations.append(dict(
                    step=step, loss=self.loss_of_rows(self.validation).item() / count, tokens=count))

    def run(self):
        for step in range(1, self.config["num_steps"] + 1):
            self.run_step(step)
        return self


def whole_relative(a, b):
    flat = lambda d: torch.cat([d[k].detach().double().flatten() for k in sorted(b)])
    return relative(flat(a), flat(b))


def make(variant, changes):
    config = dict(COMMON, **changes)
    base = config.pop("base", "qwen2_f32")
    adapter = config.pop("adapter", base)
    full = config.get("trainable") == "full"
    paths = dict(experiment_name=variant, base_model_path=f"../../models/{base}")
    if not full:
        paths["adapter_path"] = f"../../adapters/{adapter}"
    own = os.path.exists(os.path.join(adapter_folder(adapter), "tokenizer.json"))
    tokenizer_folder = adapter_folder(adapter) if own else None
    rows = training_rows(base, "train.jsonl", config["max_seq_length"], tokenizer_folder)
    validation = training_rows(base, "valid.jsonl", config["max_seq_length"], tokenizer_folder)
    layers = SPECS[base]["config"]["num_hidden_layers"]

    model = load(base) if full else load_with_adapter(base, adapter)
    named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad]
    start = {n: p.detach().clone() for n, p in named}
    run = Run(named, lambda r: loss_sum(model, r), config, layers, rows, validation).run()

    exact = Model(model_folder(base), torch.float64)
    if not full:
        exact.load_adapter(adapter_folder(adapter))
    exact_run = Run(exact.trainable().items(), exact.loss_sum, config, layers, rows, validation).run()

    folder = os.path.join(HERE, "training", variant)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    write_json(os.path.join(folder, "config.json"), dict(paths, **config))
    for step, exact_step in zip(run.steps, exact_run.steps):
        step["loss_float64"], step["grad_norm_float64"] = exact_step["loss"], exact_step["grad_norm"]
    final = {n: p.detach().contiguous() for n, p in run.named.items()}
    change = math.sqrt(sum((final[n] - start[n]).norm().item() ** 2 for n in final))
    error = dict(
        loss_relative=max(abs(s["loss"] / s["loss_float64"] - 1) for s in run.steps),
        parameters_relative=whole_relative(final, exact_run.named),
        change_relative=whole_relative({n: final[n].double() - start[n].double() for n in final},
                                       {n: exact_run.named[n].detach() - start[n].double() for n in final}))
    clipped = sum(s["grad_norm"] > config["max_grad_norm"] for s in run.steps)
    write_json(os.path.join(folder, "expected.json"), dict(
        steps=run.steps, evaluations=run.evaluations, tiers=[sorted(m) for m in run.modules], clipped_steps=clipped,
        parameter_change=change, reference_error=error))
    file = "model.safetensors" if full else "adapter_model.safetensors"
    save_file(final, os.path.join(folder, file), metadata={"format": "pt"})
    print(f"{variant:24s} loss {run.steps[0]['loss']:.4f} -> {run.steps[-1]['loss']:.4f}, clipped {clipped}/12, "
          f"change {change:.3f};", {k: f"{v:.1e}" for k, v in error.items()})


def add_tokens(model, tokens, folder):
    """Adds tokens and their rows, which begin as the mean row, and writes the tokenizer that has them."""
    tokenizer = Tokenizer.from_file(os.path.join(model_folder("qwen2_f32"), "tokenizer.json"))
    tokenizer.add_tokens(tokens)
    count = model.get_input_embeddings().weight.shape[0]
    means = [m.weight.detach().double().mean(0).float() for m in (model.get_input_embeddings(), model.lm_head)]
    model.resize_token_embeddings(tokenizer.get_vocab_size(), mean_resizing=False)
    for module, mean in zip((model.get_input_embeddings(), model.lm_head), means):
        module.weight.data[count:] = mean
    tokenizer.save(os.path.join(folder, "tokenizer.json"))


def make_adapter(name, tokens=(), **config):
    torch.manual_seed(11)
    folder = adapter_folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    base = load("qwen2_f32")
    if tokens:
        add_tokens(base, tokens, folder)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=4, lora_alpha=6, **config))
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder, save_embedding_layers=False)
    if os.path.exists(folder + "/README.md"):
        os.remove(folder + "/README.md")
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        written = json.load(file)
    written["base_model_name_or_path"] = "models/qwen2_f32"
    written["target_modules"].sort()
    write_json(path, written)


def make_adapters():
    make_adapter("qwen2_irregular", target_modules=["q_proj", "v_proj", "mlp.down_proj"],
                 exclude_modules=["layers.0.self_attn.q_proj", "layers.2.mlp.down_proj"],
                 rank_pattern={"v_proj": 2, "layers.3.mlp.down_proj": 5}, alpha_pattern={r".*\.1\..*": 3})
    make_adapter("qwen2_saved", target_modules=["q_proj", "down_proj"],
                 modules_to_save=["embed_tokens", "lm_head", "model.norm"])
    make_adapter("qwen2_tokens", tokens=["the", "boats"], target_modules=["q_proj", "down_proj"],
                 modules_to_save=["embed_tokens", "lm_head"])


def write_rows():
    for base in SPECS:
        path = os.path.join(HERE, "data", f"rows_{base}.json")
        with open(path, "w") as f:
            json.dump(dict(max_seq_length=32, train=training_rows(base, "train.jsonl", 32),
                           valid=training_rows(base, "valid.jsonl", 32)), f)
            f.write("\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    write_rows()
    make_adapters()
    for variant, changes in VARIANTS.items():
        if not sys.argv[1:] or variant in sys.argv[1:]:
            make(variant, changes)
