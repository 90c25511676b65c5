#!/bin/bash
# Trains a task whose labels are known in one domain alone, without an adversary and with one, and tells after each how well
# the task goes in the other domain, and how much of the domain a fresh logistic regression finds in the hidden states. Takes
# about a minute on two cores.
#
# usage: examples/adversarial/run.sh [OUTPUT]
#   OUTPUT is the folder of the two runs, which must not have them yet; by default the first of runs/adversarial,
#   runs/adversarial-2, … that is not there.
set -euo pipefail
source "$(dirname "$0")/../own-folder.sh" adversarial "$@"

here=examples/adversarial base=examples/quickstart/base
# Without an adversary nothing is learned of rows without a label.
grep '"label"' "$here/train.jsonl" > "$data/labelled.jsonl"
sed '/"adaptation": {/,/},/d' "$here/adversarial.json" > "$data/plain.json"
for domain in genesis dictionary; do grep "\"$domain\"" "$here/valid.jsonl" > "$data/$domain.jsonl"; done

train() { # NAME CONFIG FLAGS…
  local name=$1 config=$2
  shift 2
  echo "$name"
  nl-coord train --config "$config" --experiment-name "$name" --output-path "$out" --local-workers 2 \
    --threads-per-worker 1 "$@" | grep '^Evaluation'
}

accuracy() { # RUN DOMAIN
  nl-tool evaluate --model "$base" --adapter "$out/$1/checkpoints/final" --data "$data/$2.jsonl" --json |
    sed -E 's/.*"accuracy": ?([0-9.e-]+).*/\1/'
}

probe() { # FLAGS…
  nl-tool probe --model "$base" --data "$here/valid.jsonl" --json "$@" | sed -E 's/.*"accuracy": ?([0-9.e-]+).*/\1/'
}

train plain "$data/plain.json" --base-model-path "$base" --train-data-path "$data/labelled.jsonl" \
  --val-data-path "$here/valid.jsonl" --num-steps 800
train adversarial "$here/adversarial.json"

echo
printf '| %-11s | %-19s | %-22s | %-20s |\n' run "task, with labels" "task, without labels" "domain, by a probe"
printf '|---|---|---|---|\n'
for run in plain adversarial; do
  probe=$(probe --adapter "$out/$run/checkpoints/final")
  printf '| %-11s | %-19.3f | %-22.3f | %-20.3f |\n' "$run" "$(accuracy "$run" genesis)" "$(accuracy "$run" dictionary)" "$probe"
  declare "$run=$probe"
done
# The same on every machine, as every bit of the two adapters is.
awk -v plain="$plain" -v adversarial="$adversarial" 'BEGIN { exit !(plain >= 0.85 && adversarial <= plain - 0.15) }' || {
  echo "the adversary did not make the domains harder to tell" >&2
  exit 1
}
