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

here=examples/adversarial seed=42
cp "$here/valid.jsonl" "$here/adversarial.json" "$data"
# Without an adversary nothing is learned of rows without a label.
grep '"label"' "$here/train.jsonl" > "$data/labelled.jsonl"
sed '/"adaptation": {/,/},/d' "$here/adversarial.json" > "$data/plain.json"
# shellcheck source=./compare.sh
source "$here/compare.sh"

train plain "$data/labelled.jsonl" --num-steps 800
train adversarial "$here/train.jsonl"
compare genesis dictionary
# The same on every machine, as every bit of the two adapters is.
awk -v plain="$plain" -v adversarial="$adversarial" 'BEGIN { exit !(plain >= 0.85 && adversarial <= plain - 0.15) }' || {
  echo "the adversary did not make the domains harder to tell" >&2
  exit 1
}
