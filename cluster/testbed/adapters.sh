#!/bin/bash
# Irregular adapters made by the real peft and mlx-lm, read here; what nl-tool and nl-coord write of them, read there.
# Prints a line for each adapter with the largest difference of logits, and counts; the exit code is 0 only if all are
# within 1e-4, and all that must be refused are refused by name.
#
# usage: cluster/testbed/adapters.sh [--only TEXT] [--scratch DIR]     (default: all; /tmp/nl-adapters)
#
# Needs PyPI, and the programs in .build/release. NL_PYTHON: a Python that has torch, transformers, peft, mlx and mlx-lm
# already.
set -euo pipefail
cd "$(dirname "$0")/../.."

only=
scratch=/tmp/nl-adapters
while [ $# -gt 0 ]; do
  case $1 in
    --only) only=${2:?} && shift 2 ;;
    --scratch) scratch=${2:?} && shift 2 ;;
    *) sed -n '6p' "$0" >&2 && exit 2 ;;
  esac
done
mkdir -p "$scratch"

source cluster/testbed/python.sh
need_python "$scratch" torch transformers==5.24.0 peft==0.21.2 safetensors "mlx[cpu]" mlx-lm==0.32.2

exec "$python" cluster/testbed/adapters_compare.py --bin .build/release --scratch "$scratch" --only "$only"
