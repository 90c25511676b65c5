"""What cluster/testbed/adapters.sh runs; see there."""

import argparse
import json
import os
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import mlx.core as mx
import numpy as np
import peft
import torch
import transformers
from mlx.utils import tree_flatten
from mlx_lm.tuner.utils import linear_to_lora_layers
from mlx_lm.utils import load_adapters, load_model
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

import adapter_cases as cases

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
warnings.simplefilter("ignore")
mx.set_default_device(mx.cpu)
torch.set_num_threads(2)

FIXTURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tests/LanguageModelTests/Fixtures")
TEXT = "The law of 12 rivers: it's there, and nobody asked."
TOLERANCE = 1e-4
# name: folder of the fixtures, and what is different.
MODELS = {
    "llama": ("llama", {}),
    "llama untied": ("llama", dict(tie_word_embeddings=False)),
    "llama biases": ("llama", dict(tie_word_embeddings=False, attention_bias=True, mlp_bias=True)),
    "qwen2": ("qwen2_f32", {}),
    "qwen2 tied bf16": ("qwen2_bf16", dict(use_sliding_window=False)),
    "qwen3": ("qwen3", {}),
    "qwen3 untied": ("qwen3", dict(tie_word_embeddings=False)),
    # mlx-lm has no sliding window.
    "mistral": ("mistral", dict(sliding_window=None)),
}
WEIGHTS = ("model.safetensors", "model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")


class Table:
    def __init__(self):
        self.counts, self.bad, self.worst = {}, 0, {}

    def add(self, kind, name, model, difference=None, effect=None, problem=None):
        good = problem is None and (difference is None or difference < TOLERANCE < effect)
        self.counts[kind] = self.counts.get(kind, 0) + 1
        self.bad += not good
        figures = "" if difference is None else f"{difference:.1e} of {effect:5.2f}"
        if difference is not None:
            self.worst[kind] = max(self.worst.get(kind, 0), difference)
        print(f"{'ok ' if good else 'BAD'}  {kind:<28}{model:<17}{name:<40}{figures} {problem or ''}", flush=True)


TABLE = Table()


def run(program, *words, text=None):
    return subprocess.run([os.path.join(ARGUMENTS.bin, program), *words], capture_output=True, text=True, input=text)


def fresh(*parts):
    path = os.path.join(ARGUMENTS.scratch, *parts)
    shutil.rmtree(path, ignore_errors=True)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def make_model(name):
    """A fixture's copy with other settings; weights that it then has besides are drawn."""
    source, changes = MODELS[name]
    folder = fresh("models", name.replace(" ", "-"))
    if not changes:
        return shutil.copytree(os.path.join(FIXTURES, "models", source), folder)
    shutil.copytree(os.path.join(FIXTURES, "models", source), folder, ignore=shutil.ignore_patterns("*.safetensors*"))
    settings = json.load(open(os.path.join(folder, "config.json")))
    settings.update(changes)
    json.dump(settings, open(os.path.join(folder, "config.json"), "w"), indent=2)
    weights = {}
    for file in WEIGHTS:
        if os.path.exists(os.path.join(FIXTURES, "models", source, file)):
            weights.update(load_file(os.path.join(FIXTURES, "models", source, file)))
    generator = torch.Generator().manual_seed(5)
    network = AutoModelForCausalLM.from_config(transformers.AutoConfig.from_pretrained(folder))
    tied = network.config.tie_word_embeddings
    for key, tensor in network.state_dict().items():
        if key not in weights and not (tied and key == "lm_head.weight"):
            weights[key] = torch.randn(tensor.shape, generator=generator) * 0.3
    save_file(weights, os.path.join(folder, "model.safetensors"), metadata={"format": "pt"})
    return folder


def load(folder, rows=None):
    network = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    if rows is not None:
        torch.manual_seed(2)
        network.resize_token_embeddings(rows)
    return network


def logits(network, ids):
    with torch.no_grad():
        return network.eval()(input_ids=torch.tensor([ids])).logits[0].float().numpy()


def token_ids(folder):
    """As `nl-tool logits` encodes the text: with special tokens, without an end of text."""
    ids = json.loads(run("nl-tool", "tokenize", "--model", folder, "--special-tokens", text=json.dumps(TEXT) + "\n").stdout)
    return ids[:-1] if ids[-1] == AutoTokenizer.from_pretrained(folder).eos_token_id else ids


def our_logits(model, adapter):
    """The logits, or what nl-tool says against them."""
    out = os.path.join(ARGUMENTS.scratch, "logits.safetensors")
    if os.path.exists(out):
        os.remove(out)
    made = run("nl-tool", "logits", "--model", model, "--text", TEXT, "--output", out, "--adapter", adapter)
    return (load_file(out)["logits"].numpy(), None) if made.returncode == 0 else (None, made.stderr.strip())


def distance(a, b):
    if a.shape != b.shape:
        return float("inf")
    return float(np.abs(a - b).max()) if np.isfinite(a).all() and np.isfinite(b).all() else float("inf")


def draw(network):
    """Other numbers in everything that the adapter brings; A and B such that the logits change by some tenths at least."""
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        for key, p in network.named_parameters():
            if "lora_B" in key:
                p.copy_(torch.randn(p.shape, generator=generator) * 0.1)
            elif "modules_to_save" in key:
                p.add_(torch.randn(p.shape, generator=generator) * 0.1)


def peft_adapter(folder, settings, beside, rows):
    """The adapter's folder, and its logits in peft, of the network at hand or of what peft reads again."""
    adapter = fresh("adapter")
    ids = token_ids(folder)
    network = peft.get_peft_model(load(folder, rows), peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    draw(network)
    network.save_pretrained(adapter)
    expected = logits(network, ids)
    path = os.path.join(adapter, "adapter_model.safetensors")
    if "drop" in beside:
        tensors = load_file(path)
        save_file({k: v for k, v in tensors.items() if not any(d in k for d in beside["drop"])}, path)
    again = logits(peft.PeftModel.from_pretrained(load(folder, rows), adapter), ids)
    if "drop" in beside:
        expected = again
    # With rows of its own an embedding is in the file, as a head is that is tied to it.
    problem = None if distance(again, expected) < 1e-5 else f"peft reads it as another by {distance(again, expected):.1e}"
    if "rename" in beside:
        save_file({k.replace(".weight", beside["rename"]): v for k, v in load_file(path).items()}, path)
    if "keys" in beside:
        file = os.path.join(adapter, "adapter_config.json")
        json.dump({**json.load(open(file)), **beside["keys"]}, open(file, "w"))
    return adapter, expected, problem


def effect_of(expected, folder, rows, ids):
    return distance(expected, logits(load(folder, rows), ids))


def check_peft(kind, name, model, folder, adapter, expected, rows, effect):
    """What nl-tool or a run wrote, read by peft."""
    ids = token_ids(folder)
    try:
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            found = logits(peft.PeftModel.from_pretrained(load(folder, rows), adapter), ids)
    except Exception as error:
        return TABLE.add(kind, name, model, problem=str(error).splitlines()[0][:160])
    missing = [str(w.message) for w in said if "missing adapter keys" in str(w.message)]
    TABLE.add(kind, name, model, distance(found, expected), effect, missing[0][:100] if missing else None)


def mlx_network(folder):
    """mlx-lm reads no rope_parameters, which its older names are made of here."""
    rope = json.load(open(os.path.join(folder, "config.json"))).get("rope_parameters")
    scaled = rope and rope.get("rope_type", "default") != "default"
    network, _ = load_model(
        Path(folder), model_config=dict(rope_theta=rope["rope_theta"], rope_scaling=rope if scaled else None) if rope else {})
    network.set_dtype(mx.float32)
    network.eval()
    return network


def mlx_logits(network, ids):
    network.set_dtype(mx.float32)
    network.eval()
    return np.array(network(mx.array([ids]))[0].astype(mx.float32))


def check_mlx(kind, name, model, folder, adapter, expected, effect):
    try:
        found = mlx_logits(load_adapters(mlx_network(folder), adapter), token_ids(folder))
    except Exception as error:
        return TABLE.add(kind, name, model, problem=str(error).splitlines()[0][:160])
    TABLE.add(kind, name, model, distance(found, expected), effect)


def read_and_written(made_by, name, model, folder, adapter, expected, rows, effect, problem, whole):
    ours, said = our_logits(folder, adapter)
    if ours is None:
        return TABLE.add(made_by, name, model, problem=said)
    TABLE.add(made_by, name, model, distance(ours, expected), effect, problem)
    for form in ("peft", "mlx"):
        out = fresh("export-" + form)
        made = run("nl-tool", "export", "--format", form, "--adapter", adapter, "--model", folder, "--output", out)
        if form == "mlx" and whole:
            refused = made.returncode != 0 and "modules_to_save" in made.stderr
            TABLE.add("whole modules for mlx-lm", name, model, problem=None if refused else "not refused by name")
        elif made.returncode != 0:
            TABLE.add(f"export for {form}", name, model, problem=made.stderr.strip())
        elif form == "peft":
            check_peft("export, in peft", name, model, folder, out, expected, rows, effect)
        else:
            check_mlx("export, in mlx-lm", name, model, folder, out, expected, effect)


def peft_cases(models):
    for name, model, settings, beside in cases.PEFT:
        if ARGUMENTS.only not in name:
            continue
        folder = models[model]
        size = json.load(open(os.path.join(folder, "config.json")))["vocab_size"]
        rows = size + beside["tokens"] if "tokens" in beside else None
        adapter, expected, problem = peft_adapter(folder, settings, beside, rows)
        effect = effect_of(expected, folder, rows, token_ids(folder))
        whole = "modules_to_save" in settings or rows is not None
        read_and_written("made by peft", name, model, folder, adapter, expected, rows, effect, problem, whole)


def mlx_cases(models):
    for name, model, layers, parameters, beside in cases.MLX:
        if ARGUMENTS.only not in name:
            continue
        folder = models[model]
        adapter, ids = mlx_adapter(folder, layers, parameters, beside, "lora"), token_ids(folder)
        plain, expected = mlx_logits(mlx_network(folder), ids), mlx_logits(load_adapters(mlx_network(folder), adapter), ids)
        # Where mlx-lm and transformers differ without an adapter, they are no reference for one with it.
        base = distance(plain, logits(load(folder), ids))
        problem = None if base < 1e-4 else f"mlx-lm's base model is another by {base:.1e}"
        read_and_written("made by mlx-lm", name, model, folder, adapter, expected, None, distance(expected, plain), problem, False)


def mlx_adapter(folder, layers, parameters, beside, kind):
    """As `mlx_lm.lora` makes and saves one."""
    adapter = fresh("adapter")
    os.makedirs(adapter)
    network = mlx_network(folder)
    network.freeze()
    if kind == "full":
        network.model.layers[-1].unfreeze()
    else:
        linear_to_lora_layers(network, len(network.layers) if layers < 0 else layers, parameters, use_dora=kind == "dora")
    mx.random.seed(3)
    tensors = {k: mx.random.normal(v.shape) * 0.1 if k.endswith("lora_b") else v
               for k, v in tree_flatten(network.trainable_parameters())}
    tensors = {k: v for k, v in tensors.items() if not any(d in k for d in beside.get("drop", []))}
    mx.save_safetensors(os.path.join(adapter, "adapters.safetensors"), tensors)
    config = dict(model="model", fine_tune_type=kind, num_layers=layers, lora_parameters=parameters, **{
        k: v for k, v in beside.get("keys", {}).items() if v is not None})
    for key, value in beside.get("keys", {}).items():
        if value is None:
            config.pop(key, None)
    json.dump(config, open(os.path.join(adapter, "adapter_config.json"), "w"), indent=4)
    return adapter


def refused_cases(models):
    other = {"IA3": lambda: peft.IA3Config(task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"],
                                           feedforward_modules=["down_proj"]),
             "LOHA": lambda: peft.LoHaConfig(task_type="CAUSAL_LM", target_modules=["q_proj"]),
             "VERA": lambda: peft.VeraConfig(task_type="CAUSAL_LM", target_modules=["q_proj"])}
    for name, model, key, settings, keys in cases.REFUSED:
        if ARGUMENTS.only not in name:
            continue
        adapter = fresh("adapter")
        config = other[settings]() if isinstance(settings, str) else peft.LoraConfig(task_type="CAUSAL_LM", **settings)
        peft.get_peft_model(load(models[model]), config).save_pretrained(adapter)
        if keys:
            file = os.path.join(adapter, "adapter_config.json")
            json.dump({**json.load(open(file)), **keys}, open(file, "w"))
        refused(name, model, key, *our_logits(models[model], adapter))
    for name, model, key, kind in cases.MLX_REFUSED:
        if ARGUMENTS.only in name:
            adapter = mlx_adapter(models[model], 2, cases.L, {}, kind)
            refused(name, model, key, *our_logits(models[model], adapter))


def refused(name, model, key, ours, said):
    problem = "is taken" if ours is not None else None if key in said else f"does not name {key}: {said}"
    TABLE.add("refused by name", name, model, problem=problem)
    if problem is None:
        print("     " + said.splitlines()[0].replace(ARGUMENTS.scratch, "…"))


def runs(models):
    data = os.path.join(ARGUMENTS.scratch, "train.jsonl")
    shutil.copy(os.path.join(FIXTURES, "data/train.jsonl"), data)
    for name, model, settings in cases.RUNS:
        if ARGUMENTS.only not in name:
            continue
        folder, path = models[model], os.path.join(ARGUMENTS.scratch, "run.json")
        config = dict(
            experiment_name="run", base_model_path=folder, train_data_path=data, num_steps=12, max_seq_length=64, learning_rate=0.01,
            warmup_steps=0, lora_rank=4, lora_alpha=6, early_stop=False, output_path=fresh("runs"), tier_assignment_strategy="layer_depth",
            num_tiers=1, tier_update_frequencies=[1], **settings)
        json.dump(config, open(path, "w"))
        made = run("nl-coord", "train", "--config", path, "--local-workers", "1")
        if made.returncode != 0:
            TABLE.add("trained here", name, model, problem=made.stderr.strip()[-300:])
            continue
        final = os.path.join(ARGUMENTS.scratch, "runs/run/checkpoints/final")
        expected, said = our_logits(folder, final)
        if expected is None:
            TABLE.add("trained here", name, model, problem=said)
            continue
        size = json.load(open(os.path.join(folder, "config.json")))["vocab_size"]
        rows = expected.shape[1] if expected.shape[1] != size else None
        plain = logits(load(folder), token_ids(folder))
        effect = distance(expected[:, :size], plain)
        check_peft("trained here, in peft", name, model, folder, os.path.join(final, "peft"), expected, rows, effect)
        if "modules_to_save" not in settings and "add_tokens" not in settings:
            check_mlx("trained here, in mlx-lm", name, model, folder, final, expected, effect)


def main():
    global ARGUMENTS
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bin", required=True)
    parser.add_argument("--scratch", required=True)
    parser.add_argument("--only", default="")
    ARGUMENTS = parser.parse_args()
    ARGUMENTS.bin = os.path.abspath(ARGUMENTS.bin)
    versions = {m.__name__: m.__version__ for m in (peft, transformers, torch)}
    print(versions, "mlx", mx.__version__, f"- differences are those of logits, of how much the adapter changes them; limit {TOLERANCE}")
    models = {name: make_model(name) for name in MODELS}
    peft_cases(models)
    mlx_cases(models)
    refused_cases(models)
    runs(models)
    for kind, count in TABLE.counts.items():
        print(f"{count:4} {kind}" + (f", largest difference {TABLE.worst[kind]:.1e}" if kind in TABLE.worst else ""))
    print("nothing differs" if TABLE.bad == 0 else f"{TABLE.bad} are not as they must be")
    sys.exit(TABLE.bad != 0)


if __name__ == "__main__":
    main()
