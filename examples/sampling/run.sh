#!/bin/bash
# The same rows, taken in six ways, and how many tokens a step had of each.
#
# usage: examples/sampling/run.sh [FLAG…]     flags of `nl-coord train`, such as --num-steps 100
#
# The programs are taken from PATH, or built if they are not there. Runs are in runs/sampling-example.
set -euo pipefail
source "$(dirname "$0")/../compared-runs.sh" sampling

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
  printf '| %-10s |%s %15.4f |\n' "$name" "$(parts $name tokens 4 1)" "$(loss $name)"
done
