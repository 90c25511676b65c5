"""Do PEFT and mlx-lm compute from a trained adapter what this project computes?

    python check_adapter.py --model DIR --checkpoint runs/NAME/checkpoints/final --text "…" --nl .build/release/nl-tool

`--checkpoint` is a checkpoint folder of a run: mlx-lm reads it as it is, PEFT reads its `peft` folder. The logits that
`nl-tool logits` writes are compared with those of each library that this Python has; run it once in each environment if
they live apart (`pip install torch transformers peft`; `pip install "mlx[cpu]" mlx-lm`). `--logits FILE` compares a file
made earlier. Weights stored as bf16 are widened to float32 on both sides.

Prints one JSON object. Exit code 0: all libraries that are present agree; 1: one does not, or the adapter changes
nothing there, as it does when its tensor names are wrong; 77: none of the libraries is here.

mlx-lm does not apply Mistral's sliding window, so keep the text shorter than that.
"""

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile

TOLERANCE = 1e-4


def packages_missing(*names):
    return [n for n in names if importlib.util.find_spec(n) is None]


def read_tensor(path, name):
    """A float32 tensor of a safetensors file as nested lists' flat values and shape, with the standard library."""
    import array

    with open(path, "rb") as f:
        header = json.loads(f.read(int.from_bytes(f.read(8), "little")))
        entry = header[name]
        if entry["dtype"] != "F32":
            raise ValueError(f"{path}: {name} is {entry['dtype']}, not F32")
        start = f.tell()
        f.seek(start + entry["data_offsets"][0])
        values = array.array("f", f.read(entry["data_offsets"][1] - entry["data_offsets"][0]))
    if sys.byteorder == "big":
        values.byteswap()
    return entry["shape"], values


def token_ids(model, text):
    """As in training, without the end of text: special tokens of the post-processor, less an end of text of its own."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    ids = tokenizer(text)["input_ids"]
    return ids[:-1] if ids and ids[-1] == tokenizer.eos_token_id else ids


def peft_logits(model, checkpoint, ids):
    """Logits with and without the adapter, as nested lists."""
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32, attn_implementation="eager")
    adapted = PeftModel.from_pretrained(base, os.path.join(checkpoint, "peft")).eval()
    with torch.no_grad():
        with adapted.disable_adapter():
            plain = adapted(input_ids=torch.tensor([ids])).logits[0]
        return adapted(input_ids=torch.tensor([ids])).logits[0].tolist(), plain.tolist()


def older_rope_spelling(model):
    """What mlx-lm 0.32 needs to be told where config.json has only `rope_parameters`, which it does not read."""
    with open(os.path.join(model, "config.json"), encoding="utf-8") as f:
        rope = json.load(f).get("rope_parameters")
    if not rope:
        return {}
    scaling = None if rope.get("rope_type", "default") == "default" else rope
    return dict(rope_theta=rope["rope_theta"], rope_scaling=scaling)


def mlx_logits(model, checkpoint, ids):
    from pathlib import Path

    import mlx.core as mx
    from mlx_lm.utils import load_adapters, load_model

    mx.set_default_device(mx.cpu)
    overrides = older_rope_spelling(model)

    def run(adapter):
        network, _ = load_model(Path(model), model_config=overrides)
        if adapter:
            network = load_adapters(network, checkpoint)
        network.set_dtype(mx.float32)
        network.eval()
        return network(mx.array([ids]))[0].tolist()

    return run(True), run(False)


def largest_difference(a, b):
    differences = [abs(x - y) for row, other in zip(a, b) for x, y in zip(row, other)]
    return max(differences) if all(map(math.isfinite, differences)) else math.inf  # max() may pass over a NaN


def compare(library, logits_of, arguments, ids, ours):
    adapted, plain = logits_of(arguments.model, arguments.checkpoint, ids)
    if (len(ours), len(ours[0])) != (len(adapted), len(adapted[0])):
        return dict(agrees=False, reason=f"nl gives {len(ours)}x{len(ours[0])} logits, "
                                         f"{library} {len(adapted)}x{len(adapted[0])}")
    difference, effect = largest_difference(ours, adapted), largest_difference(adapted, plain)
    shown = lambda x: x if math.isfinite(x) else "not finite"
    result = dict(max_abs_difference=shown(difference), max_abs_effect_of_adapter=shown(effect), tokens=len(ids))
    result["agrees"] = difference <= TOLERANCE < effect < math.inf
    if effect <= TOLERANCE:
        result["reason"] = f"in {library} the adapter changes nothing"
    return result


def our_logits(arguments):
    if arguments.logits:
        shape, values = read_tensor(arguments.logits, "logits")
    else:
        with tempfile.TemporaryDirectory() as folder:
            file = os.path.join(folder, "logits.safetensors")
            subprocess.run([arguments.nl, "logits", "--model", arguments.model, "--adapter", arguments.checkpoint,
                            "--text", arguments.text, "--output", file], check=True, stdout=sys.stderr)
            shape, values = read_tensor(file, "logits")
    return [values[i * shape[1]:(i + 1) * shape[1]].tolist() for i in range(shape[0])]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="folder of the base model")
    parser.add_argument("--checkpoint", required=True, help="checkpoint folder of a run")
    parser.add_argument("--text", required=True)
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--nl", help="the program nl")
    source.add_argument("--logits", help="what `nl-tool logits` wrote for this model, checkpoint and text")
    arguments = parser.parse_args()

    libraries = dict(peft=(peft_logits, packages_missing("torch", "transformers", "peft")),
                     mlx_lm=(mlx_logits, packages_missing("mlx", "mlx_lm", "transformers")))
    report = {name: dict(skipped="not installed here: " + ", ".join(missing))
              for name, (_, missing) in libraries.items() if missing}
    present = {name: logits_of for name, (logits_of, missing) in libraries.items() if not missing}
    if present:
        ours, ids = our_logits(arguments), token_ids(arguments.model, arguments.text)
        for name, logits_of in present.items():
            report[name] = compare(name, logits_of, arguments, ids, ours)
    print(json.dumps(report, indent=2))
    if not present:
        sys.exit(77)
    sys.exit(0 if all(report[name]["agrees"] for name in present) else 1)


if __name__ == "__main__":
    main()
