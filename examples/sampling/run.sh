#!/bin/bash
# The same rows, taken in six ways, and how many tokens a step had of each.
#
# usage: examples/sampling/run.sh [FLAG…]     flags of `nl-coord train`, such as --num-steps 100
#
# The programs are taken from PATH, or built if they are not there. Runs are in runs/sampling-example.
set -euo pipefail
cd "$(dirname "$0")/../.."

command -v nl-coord > /dev/null || {
  cluster/install.sh
  cluster/build.sh
  PATH=$PWD/.build/release:$PATH
}
out=$PWD/runs/sampling-example
rm -rf "$out"
mkdir -p "$out"

train() {
  local name=$1
  shift
  nl-coord train --config examples/sampling/config.yaml --experiment-name "$name" --output-path "$out" \
    --local-workers 2 --threads-per-worker 1 "$@" > "$out/$name.log" 2>&1 || { cat "$out/$name.log" >&2 && return 1; }
}

# The mean of a column of the metrics, for each quarter of the run.
quarters() {
  awk -v key="\"$2\":" '{ at = index($0, key); value[NR] = at ? substr($0, at + length(key)) + 0 : 0 }
    END { for (part = 0; part < 4; part++) { sum = n = 0
      for (i = int(part * NR / 4) + 1; i <= int((part + 1) * NR / 4); i++) { sum += value[i]; n++ }
      printf " %6.1f |", n ? sum / n : 0 } }' "$out/$1/metrics/train_metrics.jsonl"
}

train shuffle "$@"
train easy-half "$@" --sampling-mode difficulty --sampling-difficulty length --sampling-range 0 0.5
train hard-half "$@" --sampling-mode difficulty --sampling-difficulty length --sampling-range 0.5 1
train importance "$@" --sampling-mode importance --sampling-weight-field weight
train balanced "$@" --sampling-mode balanced --sampling-balance-field label
train length "$@" --sampling-mode length --sampling-length-mode progressive --sampling-domain-field label

echo "Tokens of a step's eight rows, by quarters of the run:"
echo
echo "| rows       |      1 |      2 |      3 |      4 | validation loss |"
echo "|------------|--------|--------|--------|--------|-----------------|"
for name in shuffle easy-half hard-half importance balanced length; do
  loss=$(tail -n 1 "$out/$name/metrics/eval_metrics.jsonl" | sed 's/.*"loss":\([0-9.]*\).*/\1/')
  printf '| %-10s |%s %15.4f |\n' "$name" "$(quarters $name tokens)" "$loss"
done
