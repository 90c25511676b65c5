#!/bin/bash
# Fine-tunes the base model of examples/quickstart on Genesis for 60 steps, its last layers first, and shows how far each
# layer had moved when. It can be run again: each run gets a folder of its own.
#
# usage: examples/adaptation/run.sh
set -euo pipefail
cd "$(dirname "$0")"
if ! command -v nl-coord >/dev/null; then
  ../../cluster/build.sh
  PATH=$(cd ../.. && pwd)/.build/release:$PATH
fi

name=adaptation number=1
while [ -e "../../runs/$name" ]; do
  number=$((number + 1))
  name=adaptation-$number
done
run=../../runs/$name

nl-tool schedule preview --config config.yaml
echo
nl-tool tiers --config config.yaml
echo
nl-coord train --config config.yaml --experiment-name "$name" --local-workers 2 --threads-per-worker 1

# Norms of what the queries' matrices have got, s·BA, before and after: 0 and 0 of a layer that has not learned yet.
for steps in "20 40" "40 60"; do
  read -r from to <<<"$steps"
  echo
  echo "How far the queries of each layer have come, from step $from to step $to"
  nl-tool diff "$run/checkpoints/checkpoint_00000$from" "$run/checkpoints/checkpoint_00000$to" --modules |
    grep -E 'Tier|q_proj'
done
