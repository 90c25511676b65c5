#!/bin/bash
# Four curricula on a data set with an easy half and a hard one, and how difficult the rows were that each of them drew.
#
# usage: examples/curriculum/run.sh [FLAG…]     flags of `nl-coord train`, such as --num-steps 100
#
# The programs are taken from PATH, or built if they are not there. Runs are in runs/curriculum-example.
set -euo pipefail
source "$(dirname "$0")/../compared-runs.sh" curriculum

train none "$@" --sampling-mode difficulty
train progressive "$@" --curriculum-strategy progressive --curriculum-initial 0.2 --curriculum-steps 40
train sqrt "$@" --curriculum-strategy competence_sqrt --curriculum-initial 0.1 --curriculum-steps 40
train stages "$@" --curriculum-strategy stages --curriculum-stages 0:0.4:0.1:3e-3 0.4:0.8:0.1:2e-3 0:1:0.9:1e-3

echo "Mean difficulty of the rows that were drawn (0: the easiest of the data, 1: the hardest), by fifths of the run:"
echo
echo "| curriculum  |      1 |      2 |      3 |      4 |      5 | validation loss |"
echo "|-------------|--------|--------|--------|--------|--------|-----------------|"
for name in none progressive sqrt stages; do
  printf '| %-11s |%s %15.4f |\n' "$name" "$(parts $name sampled_difficulty 5 2)" "$(loss $name)"
done
echo
echo "Stage of the last curriculum after each evaluation, and the accuracy that it went by:"
sed 's/.*"step":\([0-9]*\).*"accuracy":\([0-9.]*\).*/  step \1: accuracy \2/' "$out/stages/metrics/eval_metrics.jsonl"
