#!/bin/bash
# Four curricula on a data set with an easy half and a hard one, and how difficult the rows were that each of them drew.
#
# usage: examples/curriculum/run.sh [FLAG…]     flags of `nl-coord train`, such as --num-steps 100
#
# The programs are taken from PATH, or built if they are not there. Runs are in runs/curriculum-example.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v nl-coord > /dev/null || {
  cluster/install.sh
  cluster/build.sh
  PATH=$PWD/.build/release:$PATH
}
out=$PWD/runs/curriculum-example
rm -rf "$out"
mkdir -p "$out"

train() {
  local name=$1
  shift
  nl-coord train --config examples/curriculum/config.yaml --experiment-name "$name" --output-path "$out" \
    --local-workers 2 --threads-per-worker 1 "$@" > "$out/$name.log" 2>&1 || { cat "$out/$name.log" >&2 && return 1; }
}

# The mean of a column of the metrics, for each fifth of the run.
fifths() {
  awk -v key="\"$2\":" '{ at = index($0, key); value[NR] = at ? substr($0, at + length(key)) + 0 : 0 }
    END { for (part = 0; part < 5; part++) { sum = n = 0
      for (i = int(part * NR / 5) + 1; i <= int((part + 1) * NR / 5); i++) { sum += value[i]; n++ }
      printf " %6.2f |", n ? sum / n : 0 } }' "$out/$1/metrics/train_metrics.jsonl"
}

train none "$@" --sampling-mode difficulty
train progressive "$@" --curriculum-strategy progressive --curriculum-initial 0.2 --curriculum-steps 40
train sqrt "$@" --curriculum-strategy competence_sqrt --curriculum-initial 0.1 --curriculum-steps 40
train stages "$@" --curriculum-strategy stages --curriculum-stages 0:0.4:0.1:3e-3 0.4:0.8:0.1:2e-3 0:1:0.9:1e-3

echo "Mean difficulty of the rows that were drawn (0: the easiest of the data, 1: the hardest), by fifths of the run:"
echo
echo "| curriculum  |      1 |      2 |      3 |      4 |      5 | validation loss |"
echo "|-------------|--------|--------|--------|--------|--------|-----------------|"
for name in none progressive sqrt stages; do
  loss=$(tail -n 1 "$out/$name/metrics/eval_metrics.jsonl" | sed 's/.*"loss":\([0-9.]*\).*/\1/')
  printf '| %-11s |%s %15.4f |\n' "$name" "$(fifths $name sampled_difficulty)" "$loss"
done
echo
echo "Stage of the last curriculum after each evaluation, and the accuracy that it went by:"
sed 's/.*"step":\([0-9]*\).*"accuracy":\([0-9.]*\).*/  step \1: accuracy \2/' "$out/stages/metrics/eval_metrics.jsonl"
