#!/bin/bash
# The measurement in small, under a minute: two arms for 20 steps on the base model of examples/quickstart, which knows none
# of the facts, so that prose alone is measured. measure.sh is the whole of it.
#
# usage: examples/forgetting/run.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
examples/forgetting/measure.sh --model examples/quickstart/base --steps 20 --every 20 --arms "plain best" \
  --output runs/forgetting-in-small
cat runs/forgetting-in-small/forgetting.md
