#!/bin/bash
# The same as run.sh where two domains differ in one word, and with a recipe under which the adversary lives: after it a fresh
# logistic regression comes to within .05 of chance, and the task holds. Takes some minutes on two cores, and python3.
#
# usage: examples/adversarial/planted.sh [--seed N] [OUTPUT]
#   OUTPUT is the folder of the two runs, which must not have them yet; by default the first of runs/planted,
#   runs/planted-2, … that is not there.
set -euo pipefail
seed=42
if [ "${1:-}" = --seed ]; then
  seed=${2:?}
  shift 2
fi
source "$(dirname "$0")/../own-folder.sh" planted "$@"

here=examples/adversarial
python3 "$here/make_planted.py" "$data"
grep '"label"' "$data/train.jsonl" > "$data/labelled.jsonl"
sed '/"adaptation": {/,/},/d' "$here/planted.json" > "$data/plain.json"
cp "$here/planted.json" "$data/adversarial.json"
# shellcheck source=./compare.sh
source "$here/compare.sh"

train plain "$data/labelled.jsonl" --num-steps 800 --learning-rate 1e-3
train adversarial "$data/train.jsonl"
compare a b
awk -v plain="$plain" -v adversarial="$adversarial" -v task="$task" \
  'BEGIN { exit !(plain >= 0.85 && adversarial <= 0.55 && task >= 0.97) }' || {
  echo "the domains are not within .05 of chance, or the task does not hold" >&2
  exit 1
}
