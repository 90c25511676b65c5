"""Makes training/qwen2_seq_cls, training/qwen2_token_cls and training/qwen2_tasks…: twelve steps of nested training in
PyTorch with heads of tasks over the transformer.

    python make_golden.py && python make_tasks_golden.py

`seq_cls` and `token_cls` are transformers' own classes `…ForSequenceClassification` and `…ForTokenClassification` under
PEFT, with adapters that PEFT has written (`TaskType.SEQ_CLS`, `TaskType.TOKEN_CLS`). `tasks…` has three heads over one
transformer: classification through a hidden layer, token classification, and the model's own head. A task i with N_i of a
step's N labels has c = w_i·N/N_i; w_i = 1, or ½·exp(−s_i) with a trained s_i = ln σ_i² (Kendall and others, 2018), whose
penalty ½·s_i counts once a step. With GradNorm (Chen and others, 2018) the w_i follow the norms n_i = ‖∇L_i‖ by the last
adapted layer: G_i = w_i·n_i, r_i = (L_i/L_i(0)) / mean, and the gradient of Σ |G_i − mean G·r_i^α| by w alone, all else taken
as constant, goes through torch's optimizer; then they are multiplied so that their sum is the number of tasks.
"""

import json
import math
import os
import shutil

import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import save_file
from tokenizers import Tokenizer
from torch.nn.functional import cross_entropy, gelu
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification

import make_training_golden
from golden_models import HERE, SPECS, adapter_folder, model_folder, write_json
from make_golden import load_with_adapter, peft_name
from make_training_golden import COMMON, Run, end_of_text, make_optimizer, scheduled_rate, tier_scales

BASE = "qwen2_f32"
PAD = 299
TOPICS, TAGS = ["sea", "mill", "town"], ["word", "name", "number"]
TOPIC = dict(name="topic", type="classification", labels=TOPICS)
TAG = dict(name="tag", type="token_classification", labels=TAGS)
SEVERAL = [dict(TOPIC, hidden_size=20), TAG, dict(name="text", type="language_modeling")]
IGNORED = -100

VARIANTS = dict(
    qwen2_seq_cls=dict(tasks=[TOPIC], adapter="qwen2_seq_cls", inactive_gradients="mean", max_grad_norm=1.0,
                       train_data_path="../../data/topics.jsonl", val_data_path="../../data/topics_valid.jsonl"),
    qwen2_token_cls=dict(tasks=[TAG], adapter="qwen2_token_cls", tier_order="deep_fast", max_grad_norm=0.8,
                         train_data_path="../../data/tags.jsonl", val_data_path="../../data/tags_valid.jsonl"),
    qwen2_tasks=dict(tasks=SEVERAL, adapter="qwen2_tasks", inactive_gradients="sum", optimizer="adamw",
                     weight_decay=0.1, max_grad_norm=8.0,
                     train_data_path="../../data/tasks.jsonl", val_data_path="../../data/tasks_valid.jsonl"),
    qwen2_tasks_uncertainty=dict(tasks=SEVERAL, adapter="qwen2_tasks", tasks_weighting="uncertainty",
                                 tasks_weighting_rate=0.05, optimizer="adamw", weight_decay=0.1, lr_schedule="linear",
                                 max_grad_norm=4.5, train_data_path="../../data/tasks.jsonl",
                                 val_data_path="../../data/tasks_valid.jsonl"),
    qwen2_tasks_gradnorm=dict(tasks=SEVERAL, adapter="qwen2_tasks", tasks_weighting="gradnorm",
                              tasks_weighting_rate=0.05, tasks_gradnorm_alpha=1.2, tasks_schedule="round_robin",
                              max_grad_norm=8.0, inactive_gradients="mean",
                              train_data_path="../../data/tasks.jsonl", val_data_path="../../data/tasks_valid.jsonl"),
)


# ---- Rows ----

THINGS = dict(
    sea=["boats lay in the harbour", "waves broke over the pier", "gulls followed the ships", "nets dried on the beach"],
    mill=["sacks stood by the wheel", "flour covered the floor", "stones ground the rye", "water turned the wheel"],
    town=["people crossed the square", "bells rang at noon", "shops opened early", "carts filled the street"])
NAMES = ["Anna", "Bertil", "Cora", "Daniel", "Ebba"]


def sentences(count, first):
    for i in range(first, first + count):
        topic = TOPICS[(i * 2 + i // 3) % 3]
        text = f"{NAMES[i % 5]} counted {3 + i * 7 % 90} times and {THINGS[topic][i // 3 % 4]}"
        yield topic, text + (f" before {NAMES[(i + 2) % 5]} left" if i % 4 == 1 else "")


def tag(word):
    return "number" if word.isdigit() else "name" if word in NAMES else "word"


def tag_row(text, i):
    words = text.split()
    # A word without a label, and labels by their numbers, as rows may have them.
    labels = [None if word == "and" else TAGS.index(tag(word)) if i % 2 else tag(word) for word in words]
    return dict(text=words, label=labels)


def write_rows():
    def write(name, rows):
        with open(os.path.join(HERE, "data", name), "w", encoding="utf-8") as f:
            f.writelines(json.dumps(row) + "\n" for row in rows)

    for suffix, count, first in (("", 30, 0), ("_valid", 8, 50)):
        topics = [dict(text=text, label=topic) for topic, text in sentences(count, first)]
        tags = [tag_row(text, i) for i, (_, text) in enumerate(sentences(count, first + 100))]
        texts = [dict(text=text + ".") for _, text in sentences(count, first + 200)]
        write(f"topics{suffix}.jsonl", topics)
        write(f"tags{suffix}.jsonl", tags)
        rows = []
        for i in range(count):
            rows.append(dict(task="topic", **topics[i]))
            if i % 2:
                rows.append(dict(task="tag", **tags[i]))
            if i % 3 == 0:
                rows.append(dict(task="text", **texts[i]))
        write(f"tasks{suffix}.jsonl", rows)


class Row(list):
    """Token ids; `labels` has one for each, IGNORED where there is none; `task` is its number."""


def read_rows(path, tasks, max_length):
    tokenizer = Tokenizer.from_file(os.path.join(model_folder(BASE), "tokenizer.json"))
    end = end_of_text(model_folder(BASE), tokenizer)
    rows = []
    with open(os.path.normpath(os.path.join(HERE, "training", "variant", path)), encoding="utf-8") as f:
        for line in map(json.loads, f):
            number = next(i for i, t in enumerate(tasks) if t["name"] == line.get("task", tasks[0]["name"]))
            task = tasks[number]
            if task["type"] == "language_modeling":
                ids = (tokenizer.encode(line["text"]).ids + [end])[:max_length]
                labels = ids[1:] + [IGNORED]
            elif task["type"] == "classification":
                ids = tokenizer.encode(line["text"]).ids[:max_length]
                labels = [IGNORED] * (len(ids) - 1) + [task["labels"].index(line["label"])]
            else:
                encoded = tokenizer.encode(" ".join(line["text"]))
                labels, place, last = [IGNORED] * len(encoded.ids), -1, -1
                for word, label in zip(line["text"], line["label"]):
                    place += len(word) + 1
                    token = sum(start < place for start, _ in encoded.offsets) - 1
                    if label is not None and token > last:
                        labels[token] = label if isinstance(label, int) else task["labels"].index(label)
                    last = token
                ids, labels = encoded.ids[:max_length], labels[:max_length]
            row = Row(ids)
            row.labels, row.task = labels, number
            rows.append(row)
    assert not any(PAD in row for row in rows)
    return rows


def label_count(row):
    return sum(label != IGNORED for label in row.labels)


def padded(rows):
    width = max(map(len, rows))
    ids = torch.tensor([r + [PAD] * (width - len(r)) for r in rows])
    return ids, torch.tensor([[1] * len(r) + [0] * (width - len(r)) for r in rows])


# ---- Models: from rows to the sum of the losses of each row's labels ----

def own_class(model, kind):
    """What transformers' own class for one task gives."""
    def losses(rows):
        ids, mask = padded(rows)
        logits = model(input_ids=ids, attention_mask=mask).logits
        if kind == "classification":
            return [cross_entropy(l[None], torch.tensor(r.labels[-1:]), reduction="sum") for l, r in zip(logits, rows)]
        return [cross_entropy(l[:len(r)], torch.tensor(r.labels), ignore_index=IGNORED, reduction="sum")
                for l, r in zip(logits, rows)]
    return losses


def several(model, heads, tasks):
    def losses(rows):
        ids, mask = padded(rows)
        states = model.model.model(input_ids=ids, attention_mask=mask).last_hidden_state
        result = []
        for x, row in zip(states, rows):
            name = tasks[row.task]["name"]
            x = x[:len(row)]
            if tasks[row.task]["type"] == "language_modeling":
                logits = model.model.lm_head(x)
            else:
                if f"heads.{name}.dense.weight" in heads:
                    x = gelu(x @ heads[f"heads.{name}.dense.weight"].T + heads[f"heads.{name}.dense.bias"])
                logits = x @ heads[f"heads.{name}.score.weight"].T
                if f"heads.{name}.score.bias" in heads:
                    logits = logits + heads[f"heads.{name}.score.bias"]
            result.append(cross_entropy(logits, torch.tensor(row.labels), ignore_index=IGNORED, reduction="sum"))
        return result
    return losses


LOG_VARIANCES = "heads.log_variances"
TASK_WEIGHTS = "heads.task_weights"


class TaskRun(Run):
    def __init__(self, named, losses, config, layer_count, rows, validation):
        super().__init__(named, None, config, layer_count, rows, validation)
        self.losses, self.balance = losses, None
        if config.get("tasks_weighting") == "gradnorm":
            self.balance = Balance(config, [p for n, p in self.named.items() if f".layers.{layer_count - 1}." in n])
        if LOG_VARIANCES in self.named:
            # A rate of its own, and nothing that draws it to zero.
            own = [self.named[LOG_VARIANCES]]
            rest = [self.named[n] for n in self.tiers[0] if n != LOG_VARIANCES]
            self.optimizers[0] = make_optimizer(rest, config)
            self.optimizers[0].add_param_group(dict(params=own, weight_decay=0.0))

    def micro_batches(self, step):
        if self.config.get("tasks_schedule") != "round_robin":
            yield from super().micro_batches(step)
            return
        size, count, tasks = self.config["batch_size"], self.config["gradient_accumulation_steps"], len(self.config["tasks"])
        for n in range((step - 1) * count, step * count):
            own = [r for r in self.rows if r.task == n % tasks]
            yield [own[i % len(own)] for i in range(n // tasks * size, (n // tasks + 1) * size)]

    def step_gradients(self, step):
        for p in self.named.values():
            p.grad = None
        batches = list(self.micro_batches(step))
        tasks = range(len(self.config["tasks"]))
        counts = [sum(label_count(r) for b in batches for r in b if r.task == i) for i in tasks]
        total, tokens, sums = 0.0, sum(counts), [0.0 for _ in tasks]
        norms = self.balance and self.balance.norms(batches, self.losses, counts)
        for rows in batches:
            each = self.losses(rows)
            objective = 0.0
            for row, loss in zip(rows, each):
                share = tokens / counts[row.task]
                if self.balance:
                    share = share * self.balance.weights[row.task].item()
                if LOG_VARIANCES in self.named:
                    s = self.named[LOG_VARIANCES][row.task]
                    objective = objective + share * (loss * 0.5 * torch.exp(-s) + 0.5 * s * label_count(row))
                else:
                    objective = objective + share * loss
                total += loss.item()
            objective.backward()
            sums = [s + sum(l.item() for r, l in zip(rows, each) if r.task == i) for i, s in enumerate(sums)]
            self.objective = getattr(self, "objective", 0.0) + objective.item()
        gradients = {n: torch.zeros_like(p) if p.grad is None else p.grad / tokens for n, p in self.named.items()}
        for p in self.named.values():
            p.grad = None
        self.extra = dict(objective=self.objective / tokens, tasks={
            t["name"]: dict(loss=s / c if c else None, labels=c)
            for t, s, c in zip(self.config["tasks"], sums, counts)})
        self.objective = 0.0
        if self.balance:
            self.balance.step(norms, [s / c for s, c in zip(sums, counts)], scheduled_rate(step, self.config)
                              / self.config["learning_rate"])
        return total / tokens, gradients, tokens

    def run_step(self, step):
        if LOG_VARIANCES in self.named:
            factor = scheduled_rate(step, self.config) / self.config["learning_rate"]
            self.optimizers[0].param_groups[1]["lr"] = self.config["tasks_weighting_rate"] * factor
        every = self.config["eval_every"]
        self.config["eval_every"] = 1 << 30
        super().run_step(step)
        self.config["eval_every"] = every
        self.steps[-1].update(self.extra)
        if step % every == 0:
            with torch.no_grad():
                count = sum(map(label_count, self.validation))
                self.evaluations.append(dict(
                    step=step, loss=sum(self.losses(self.validation)).item() / count, tokens=count))


class Balance:
    """GradNorm: the weights of tasks."""

    def __init__(self, config, shared):
        self.config, self.shared, self.first = config, shared, None
        self.weights = torch.nn.Parameter(torch.ones(len(config["tasks"])))
        self.optimizer = torch.optim.Adam([self.weights])

    def norms(self, batches, losses, counts):
        """‖∇L_i‖ of each task, by the last adapted layer."""
        result = []
        for task, count in enumerate(counts):
            rows = [r for batch in batches for r in batch if r.task == task]
            mean = sum(losses(rows)) / count
            gradients = torch.autograd.grad(mean, self.shared)
            result.append(torch.sqrt(sum((g.double() ** 2).sum() for g in gradients)))
        return torch.stack(result)

    def step(self, norms, means, factor):
        means = torch.tensor(means, dtype=torch.float64)
        self.first = means if self.first is None else self.first
        ratio = means / self.first
        sizes = self.weights * norms
        goal = (sizes.mean() * (ratio / ratio.mean()) ** self.config["tasks_gradnorm_alpha"]).detach()
        self.weights.grad = torch.autograd.grad((sizes - goal).abs().sum(), self.weights)[0].float()
        self.optimizer.param_groups[0]["lr"] = self.config["tasks_weighting_rate"] * factor
        self.optimizer.step()
        with torch.no_grad():
            self.weights *= len(self.weights) / self.weights.sum()


def tier_of(name, config, layer_count, names):
    """Heads are in tier 0, whatever the strategy is."""
    module = name.removeprefix("base_model.model.").removesuffix(".weight").removesuffix(".bias")
    if module.startswith("heads.") or module == "score":
        return module, 0
    return plain_tier_of(name, config, layer_count, names)


plain_tier_of, make_training_golden.tier_of = make_training_golden.tier_of, tier_of


# ---- Adapters ----

def class_of(kind, labels):
    auto = AutoModelForSequenceClassification if kind == "classification" else AutoModelForTokenClassification
    # The layer of scores is drawn here, and the classes have a dropout of .1 before it if they are not told otherwise.
    torch.manual_seed(5)
    settings = AutoConfig.from_pretrained(model_folder(BASE), num_labels=len(labels))
    settings.classifier_dropout = 0.0
    model = auto.from_pretrained(model_folder(BASE), config=settings, dtype=torch.float32, attn_implementation="eager")
    model.config.use_cache, model.config.pad_token_id = False, PAD
    torch.nn.init.normal_(model.score.weight, std=0.15)
    return model.train()


def finish_adapter(folder):
    if os.path.exists(folder + "/README.md"):
        os.remove(folder + "/README.md")
    path = os.path.join(folder, "adapter_config.json")
    with open(path) as file:
        written = json.load(file)
    written["base_model_name_or_path"] = f"models/{BASE}"
    written["target_modules"].sort()
    write_json(path, written)


def make_class_adapter(name, kind, task_type, labels):
    folder = adapter_folder(name)
    shutil.rmtree(folder, ignore_errors=True)
    model = get_peft_model(class_of(kind, labels), LoraConfig(
        task_type=task_type, r=4, lora_alpha=6, target_modules=["q_proj", "v_proj", "down_proj"]))
    torch.manual_seed(11)
    for parameter_name, parameter in model.named_parameters():
        if "lora_" in parameter_name:
            torch.nn.init.normal_(parameter, std=0.1)
    model.save_pretrained(folder)
    finish_adapter(folder)


def make_heads_adapter(name):
    """The adapter of qwen2_f32 with heads beside it, as a checkpoint has them."""
    folder, generator = adapter_folder(name), torch.Generator().manual_seed(31)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(adapter_folder(BASE), folder)
    hidden = SPECS[BASE]["config"]["hidden_size"]
    shapes = {"topic.dense.weight": (20, hidden), "topic.dense.bias": (20,), "topic.score.weight": (3, 20),
              "tag.score.weight": (3, hidden), "tag.score.bias": (3,)}
    tensors = {f"heads.{n}": 0.2 * torch.randn(shape, generator=generator) for n, shape in shapes.items()}
    save_file(tensors, os.path.join(folder, "task_heads.safetensors"), metadata={"format": "pt"})
    write_json(os.path.join(folder, "task_heads.json"), dict(heads=SEVERAL))


def start(config, adapter):
    """Named parameters, and the losses of rows."""
    tasks = config["tasks"]
    if len(tasks) == 1:
        kind = tasks[0]["type"]
        model = PeftModel.from_pretrained(
            class_of(kind, tasks[0]["labels"]), adapter_folder(adapter), is_trainable=True).train()
        named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad]
        assert any(n.endswith("score.weight") for n, _ in named)
        return named, own_class(model, kind)
    from safetensors.torch import load_file
    heads = load_file(os.path.join(adapter_folder(adapter), "task_heads.safetensors"))
    if config.get("tasks_weighting") == "uncertainty":
        heads[LOG_VARIANCES] = torch.zeros(len(tasks))
    heads = {n: torch.nn.Parameter(t) for n, t in heads.items()}
    model = load_with_adapter(BASE, BASE)
    named = [(peft_name(n), p) for n, p in model.named_parameters() if p.requires_grad] + list(heads.items())
    return named, several(model.base_model, heads, tasks)


def make(variant, changes):
    config = dict(COMMON, **changes)
    adapter = config.pop("adapter")
    rows = read_rows(config["train_data_path"], config["tasks"], config["max_seq_length"])
    validation = read_rows(config["val_data_path"], config["tasks"], config["max_seq_length"])
    named, losses = start(config, adapter)
    layers = SPECS[BASE]["config"]["num_hidden_layers"]
    run = TaskRun(named, losses, config, layers, rows, validation).run()
    folder = os.path.join(HERE, "training", variant)
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    paths = dict(experiment_name=variant, base_model_path=f"../../models/{BASE}",
                 adapter_path=f"../../adapters/{adapter}")
    write_json(os.path.join(folder, "config.json"), dict(paths, **config))
    write_json(os.path.join(folder, "expected.json"), dict(
        steps=run.steps, evaluations=run.evaluations, tiers=[sorted(m) for m in run.modules]))
    final = {n: p.detach().contiguous() for n, p in run.named.items()}
    if run.balance:
        final[TASK_WEIGHTS] = run.balance.weights.detach()
    own = {n: t for n, t in final.items() if n.startswith("heads.")}
    save_file({n: t for n, t in final.items() if n not in own}, os.path.join(folder, "adapter_model.safetensors"),
              metadata={"format": "pt"})
    if own:
        save_file(own, os.path.join(folder, "task_heads.safetensors"), metadata={"format": "pt"})
    clipped = sum(s["grad_norm"] > config["max_grad_norm"] for s in run.steps)
    print(f"{variant:24s} loss {run.steps[0]['loss']:.4f} -> {run.steps[-1]['loss']:.4f}, clipped {clipped}/12")


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    transformers.utils.logging.disable_progress_bar()
    write_rows()
    make_class_adapter("qwen2_seq_cls", "classification", "SEQ_CLS", TOPICS)
    make_class_adapter("qwen2_token_cls", "token_classification", "TOKEN_CLS", TAGS)
    make_heads_adapter("qwen2_tasks")
    for variant, changes in VARIANTS.items():
        make(variant, changes)
