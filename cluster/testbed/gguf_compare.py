"""What cluster/testbed/gguf.sh runs; see there."""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import warnings

import gguf
import numpy as np
import torch
import transformers
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), "../../Tests/GGUFTests/Fixtures"))
import random_gguf  # noqa: E402

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
warnings.simplefilter("ignore")
torch.set_num_threads(2)
TEXT = "The capital of France is Paris, and 12 rivers meet there."
failures = 0


def check(good, *words):
    global failures
    failures += not good
    print("ok  " if good else "BAD ", *words, flush=True)


def nl(*words, text=None, fails=False):
    run = subprocess.run([ARGUMENTS.nl, *words], capture_output=True, text=True, input=text)
    if (run.returncode != 0) != fails:
        raise SystemExit(f"nl-tool {' '.join(words)}: exit code {run.returncode}\n{run.stderr[-2000:]}")
    return run


def fresh(*parts):
    path = os.path.join(ARGUMENTS.scratch, *parts)
    shutil.rmtree(path, ignore_errors=True)
    if os.path.isfile(path):
        os.remove(path)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    return path


def tensors(folder):
    found = {}
    for name in sorted(os.listdir(folder)):
        if name.endswith(".safetensors"):
            found.update(load_file(os.path.join(folder, name)))
    return found


def ids(folder, texts, special):
    lines = "".join(json.dumps(t) + "\n" for t in texts)
    out = nl("tokenize", "--model", folder, *(["--special-tokens"] if special else []), text=lines).stdout
    return [json.loads(line) for line in out.splitlines()]


def compare_ids(label, folder, reference, texts):
    differ, example = 0, ""
    for special in (True, False):
        ours = ids(folder, texts, special)
        theirs = [reference(t, add_special_tokens=special)["input_ids"] for t in texts]
        for text, a, b in zip(texts, ours, theirs):
            if a != b:
                differ += 1
                example = example or f"{text!r}: {a} for {b}"
        differ += len(ours) != len(theirs)
    check(differ == 0, label, f"ids of {len(texts)} strings, with and without special tokens: {differ} differ", example)


def our_logits(folder, adapter=None, text=TEXT):
    out = fresh("logits.safetensors")
    nl("logits", "--model", folder, "--text", text, "--output", out, *(["--adapter", adapter] if adapter else []))
    return load_file(out)["logits"]


def logits(model, token_ids):
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([token_ids])).logits[0].numpy()


def compare_logits(label, folder, theirs):
    """Beyond 1e-4 what counts is how far ours are from float64: less than 1e-5 of the largest logit, which is some hundred
    roundings of f32, or no more than three times as far as those of transformers, as random weights can magnify roundings."""
    ours = our_logits(folder)
    difference, words = distance(ours, theirs), ""
    good = difference < 1e-4
    if not good:
        exact = logits(load(folder).double(), text_ids(folder))
        good = distance(ours, exact) <= max(1e-5 * np.abs(exact).max(), 3 * distance(theirs, exact))
        words = f", from float64 ours {distance(ours, exact):.1e}, theirs {distance(theirs, exact):.1e}"
    check(good, label, f"logits (up to {np.abs(theirs).max():.0f}) against transformers on the folder: {difference:.1e}{words}")


def text_ids(folder, text=TEXT):
    """As nl-tool logits encodes it: with special tokens, without an end of text."""
    return ids(folder, [text], True)[0]


def load(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")


def of_gguf(path):
    reader = gguf.GGUFReader(path)
    return {t.name: gguf.quants.dequantize(t.data, t.tensor_type).astype(np.float32) for t in reader.tensors}, reader


def distance(a, b):
    return float(np.abs(a - b).max())


def real_model():
    folder = fresh("smollm2-f32")
    started = time.time()
    nl("model", "import", ARGUMENTS.real, "--output", folder, "--dtype", "f32")
    seconds = time.time() - started
    stored, reader = of_gguf(ARGUMENTS.real)
    heads = {"attn_q": 9, "attn_k": 3}
    ours = tensors(folder)
    differ = count = 0
    for name, values in stored.items():
        parts = name.split(".")
        leaf = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
                "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
                "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
        target = (f"model.layers.{parts[1]}.{leaf[parts[2]]}.weight" if parts[0] == "blk" else
                  {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[parts[0]])
        if parts[0] == "blk" and parts[2] in heads:
            values = random_gguf.turned_back(values, heads[parts[2]])
        differ += int((values.view(np.uint32) != ours[target].view(np.uint32)).sum())
        count += values.size
    check(differ == 0 and len(ours) == len(stored), f"SmolLM2 imported in {seconds:.1f} s: {count} weights, {differ} differ")
    directory, name = os.path.split(ARGUMENTS.real)
    reference = AutoTokenizer.from_pretrained(directory, gguf_file=name)
    compare_ids("SmolLM2", folder, reference, random_gguf.strings(random.Random(1), 10000))
    theirs = AutoModelForCausalLM.from_pretrained(
        directory, gguf_file=name, dtype=torch.float32, quantization_config=GgufConfig(dequantize=True),
        attn_implementation="eager")
    expected = logits(theirs, text_ids(folder))
    check(distance(our_logits(folder), expected) < 1e-4, "SmolLM2, logits against transformers' of the GGUF file:",
          f"{distance(our_logits(folder), expected):.1e} at most")
    reloaded = AutoTokenizer.from_pretrained(folder)
    chat = [dict(role="user", content="Hi"), dict(role="assistant", content="Hello")]
    check(reloaded.apply_chat_template(chat, tokenize=False) == reference.apply_chat_template(chat, tokenize=False),
          "SmolLM2, chat template as transformers has it from the GGUF file")
    interrupted()
    adapters("SmolLM2", folder, "llama")


def interrupted():
    folder = fresh("stopped", "model")
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    process = subprocess.Popen([ARGUMENTS.nl, "model", "import", ARGUMENTS.real, "--output", folder, "--dtype", "f32"],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None and not os.listdir(os.path.dirname(folder)):
        time.sleep(0.005)
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    status = process.wait()
    left = os.listdir(os.path.dirname(folder))
    check(status != 0 and not left, f"Ctrl-C in the middle of an import: exit code {status}, left behind: {left}")


def adapters(label, folder, architecture):
    """Adapters by peft: exported as GGUF, PEFT and mlx-lm, and merged."""
    plain = dict(r=4, lora_alpha=6, target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "down_proj"])
    uneven = dict(r=4, lora_alpha=8, target_modules=["q_proj", "k_proj", "up_proj"], rank_pattern={"k_proj": 8},
                  alpha_pattern={"up_proj": 3})
    saved = dict(r=2, lora_alpha=2, target_modules=["v_proj"], modules_to_save=["lm_head"])
    for kind, settings in [("plain", plain), ("rank_pattern", uneven), ("modules_to_save", saved)]:
        torch.manual_seed(3)
        base = load(folder)
        model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", **settings))
        with torch.no_grad():
            for name, p in model.named_parameters():
                if "lora_B" in name or "modules_to_save" in name:
                    p.add_(torch.randn_like(p) * 0.02)
        adapter = fresh(f"adapter-{label}-{kind}")
        model.save_pretrained(adapter)
        tokens = text_ids(folder)
        expected, effect = logits(model, tokens), 0
        with torch.no_grad(), model.disable_adapter():
            effect = distance(expected, logits(model, tokens))
        ours = our_logits(folder, adapter)
        check(distance(ours, expected) < 1e-4 < effect, label, kind,
              f"adapter by peft: logits differ by {distance(ours, expected):.1e}, its effect is {effect:.2f}")
        exports(label, kind, folder, adapter, expected, tokens, architecture)
        merges(label, kind, folder, adapter, ours, expected, tokens)


def exports(label, kind, folder, adapter, expected, tokens, architecture):
    whole = kind == "modules_to_save"
    out = fresh(f"export-{label}-{kind}.gguf")
    nl("export", "--format", "gguf", "--adapter", adapter, "--model", folder, "--output", out, fails=whole)
    if not whole:
        values, reader = of_gguf(out)
        alpha = float(reader.fields["adapter.lora.alpha"].contents())
        model = load(folder)
        config = model.config
        modules = dict(model.named_modules())
        names = {"attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj",
                 "attn_output": "self_attn.o_proj", "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj",
                 "ffn_down": "mlp.down_proj"}
        with torch.no_grad():
            for name in values:
                if not name.endswith(".lora_a"):
                    continue
                a, b = values[name], values[name[:-1] + "b"]
                _, layer, leaf, *_ = name.split(".")
                if architecture == "llama" and leaf in ("attn_q", "attn_k"):
                    heads = config.num_attention_heads if leaf == "attn_q" else config.num_key_value_heads
                    b = random_gguf.turned_back(b, heads)
                # As llama.cpp: alpha over the rank of the pair.
                modules[f"model.layers.{layer}.{names[leaf]}"].weight += torch.tensor(alpha / a.shape[0] * (b @ a))
        got = logits(model, tokens)
        types = {k: reader.fields[k].contents() for k in ("general.type", "general.architecture", "adapter.type")}
        check(distance(got, expected) < 1e-4, label, kind, f"exported as gguf {types}, {len(values)} tensors, read by gguf-py,",
              f"logits differ by {distance(got, expected):.1e}")
    out = fresh(f"export-{label}-{kind}-peft")
    nl("export", "--format", "peft", "--adapter", adapter, "--model", folder, "--output", out)
    model = PeftModel.from_pretrained(load(folder), out)
    got = logits(model, tokens)
    check(distance(got, expected) < 1e-4, label, kind, f"exported for peft, logits there differ by {distance(got, expected):.1e}")
    out = fresh(f"export-{label}-{kind}-mlx")
    nl("export", "--format", "mlx", "--adapter", adapter, "--model", folder, "--output", out, fails=whole)
    if not whole:
        got = our_logits(folder, out)
        check(distance(got, expected) < 1e-4, label, kind, f"exported for mlx-lm, read back, logits differ by {distance(got, expected):.1e}")


def merges(label, kind, folder, adapter, ours, expected, tokens):
    for dtype, limit in (("f32", 1e-5), ("bf16", None)):
        out = fresh(f"merged-{label}-{kind}-{dtype}")
        nl("merge", "--model", folder, "--adapter", adapter, "--output", out, "--dtype", dtype, "--shard-size", "60MB")
        got, theirs = our_logits(out), logits(load(out), tokens)
        size = float(np.abs(expected).max())
        # f32: relative to the largest logit, since thirty layers round each in their own order.
        close = distance(got, ours) <= (limit * size if limit else 0.05 * size) and distance(theirs, expected) <= (
            1e-4 if limit else 0.05 * size)
        check(close, label, kind, f"merged as {dtype}: logits (up to {size:.0f}) differ from base + adapter by",
              f"{distance(got, ours):.1e} ({distance(got, ours) / size:.0e} of that) here, {distance(theirs, expected):.1e} in transformers;",
              f"{len([f for f in os.listdir(out) if f.endswith('.safetensors')])} file(s)")
        check(
            ids(out, [TEXT], True) == ids(folder, [TEXT], True), label, kind, f"merged as {dtype}: same tokenizer")
        if kind == "plain" and dtype == "f32":
            models(label, out, got)
        shutil.rmtree(out)


def models(label, folder, expected):
    """A model folder as GGUF and back."""
    for kind in ("f32", "f16", "bf16", "q8_0"):
        out, back = fresh(f"model-{label}-{kind}.gguf"), fresh(f"model-{label}-{kind}-back")
        nl("export", "--format", "gguf", "--model", folder, "--type", kind, "--output", out)
        _, reader = of_gguf(out)
        stored = next(t for t in reader.tensors if t.name == "blk.0.ffn_up.weight")
        original = tensors(folder)["model.layers.0.mlp.up_proj.weight"]
        same = bytes(gguf.quants.quantize(original, stored.tensor_type).tobytes()) == bytes(stored.data.tobytes())
        nl("model", "import", out, "--output", back, "--dtype", "f32", "--tokenizer-rules", "original")
        difference = distance(our_logits(back), expected)
        again = ids(back, random_gguf.strings(random.Random(5), 500), False) == ids(
            folder, random_gguf.strings(random.Random(5), 500), False)
        check(same and difference < {"f32": 1e-5, "f16": 0.1, "bf16": 1, "q8_0": 1.5}[kind], label,
              f"as a GGUF model in {kind}: blocks as gguf.quants.quantize has them: {same}; back again, logits differ by",
              f"{difference:.1e}; same ids: {again}")
        os.remove(out)
        shutil.rmtree(back)


PRE = ["smollm", "qwen2", "llama-bpe", "gpt-2", "default", None, "tekken", "gpt-4o", "qwen35", "deepseek-r1-qwen", "command-r",
       "of nobody", "sentencepiece", "sentencepiece"]


def random_models():
    counts = dict(files=0, weights=0, differ=0, loaded=0)
    used = {}
    for seed in range(ARGUMENTS.seeds):
        rng = random.Random(seed)
        architecture, tokenizer = ["llama", "qwen2", "qwen3"][seed % 3], rng.choice(PRE)
        if tokenizer == "sentencepiece":
            architecture = "llama"
        folder = fresh("random", str(seed), "out")
        directory = os.path.dirname(folder)
        path = os.path.join(directory, "m.gguf")
        expected = random_gguf.write(path, seed, architecture, tokenizer)
        if seed % 4 == 3:
            # The same once more, in parts.
            random_gguf.write(path, seed, architecture, tokenizer, tensors_a_part=10)
            parts = sorted(f for f in os.listdir(directory) if "-of-" in f)
            nl("model", "import", os.path.join(directory, rng.choice(parts)), "--output", folder, "--dtype", "f32")
            split = tensors(folder)
            check(all(split[n].tobytes() == expected[n].tobytes() for n in expected), f"random {seed}: in {len(parts)} parts")
            shutil.rmtree(folder)
        for tensor in gguf.GGUFReader(path).tensors:
            key = (architecture, tensor.tensor_type.name)
            used[key] = used.get(key, 0) + 1
        nl("model", "import", path, "--output", folder, "--dtype", "f32", "--shard-size", rng.choice(["5GB", "500KB"]))
        ours = tensors(folder)
        wrong = [n for n in set(expected) | set(ours)
                 if n not in ours or n not in expected or ours[n].tobytes() != expected[n].tobytes()]
        label = f"random {seed} ({architecture}, {tokenizer}):"
        check(not wrong, label, f"{len(ours)} tensors, {len(wrong)} differ", wrong[:3] or "")
        compare_ids(label, folder, AutoTokenizer.from_pretrained(directory, gguf_file="m.gguf"),
                    random_gguf.strings(rng, 200))
        theirs = logits(load(folder), text_ids(folder))
        original = fresh("random", str(seed), "original")
        nl("model", "import", path, "--output", original, "--tokenizer-rules", "original")
        # Of a qwen2 folder transformers reads tokens and merges alone, and brings the rest of Qwen2's own tokenizer.
        if architecture != "qwen2" or tokenizer in ("qwen2", "deepseek-r1-qwen"):
            compare_ids(label + " original rules, the folder read by transformers:", original,
                        AutoTokenizer.from_pretrained(original), random_gguf.strings(rng, 100))
        compare_logits(label, folder, theirs)
        try:
            direct = AutoModelForCausalLM.from_pretrained(
                directory, gguf_file="m.gguf", dtype=torch.float32, quantization_config=GgufConfig(dequantize=True),
                attn_implementation="eager")
            difference = distance(logits(direct, text_ids(folder)), theirs)
            print("    ", label, f"logits of transformers from the GGUF file itself: {difference:.1e} away")
            counts["loaded"] += difference < 1e-4
        except Exception as error:  # What transformers cannot load is no fault of the file.
            print("    ", label, "transformers does not load it:", str(error).splitlines()[0][:100])
        counts["files"] += 1
        counts["weights"] += sum(t.size for t in ours.values())
        shutil.rmtree(directory)
    print("architecture × type, tensors:", {f"{a} {t}": n for (a, t), n in sorted(used.items())})
    print(counts)


def main():
    global ARGUMENTS
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("--nl", "--scratch", "--real"):
        parser.add_argument(name, required=True)
    parser.add_argument("--seeds", type=int, default=60)
    ARGUMENTS = parser.parse_args()
    ARGUMENTS.nl = os.path.abspath(ARGUMENTS.nl)
    real_model()
    random_models()
    print("nothing differs" if failures == 0 else f"{failures} comparisons differ")
    sys.exit(failures != 0)


if __name__ == "__main__":
    main()
