# What the examples that compare several runs of one config have in common; sourced by their run.sh, from anywhere.
#
# usage: source compared-runs.sh NAME     runs of examples/NAME/config.yaml go to runs/NAME-example
cd "$(dirname "${BASH_SOURCE[0]}")/.."
example=$1

command -v nl-coord > /dev/null || {
  cluster/install.sh
  cluster/build.sh
  PATH=$PWD/.build/release:$PATH
}
out=$PWD/runs/$example-example
rm -rf "$out"
mkdir -p "$out"

# train NAME [FLAG…]
train() {
  local name=$1
  shift
  nl-coord train --config "examples/$example/config.yaml" --experiment-name "$name" --output-path "$out" \
    --local-workers 2 --threads-per-worker 1 "$@" > "$out/$name.log" 2>&1 || { cat "$out/$name.log" >&2 && return 1; }
}

# parts NAME COLUMN COUNT DECIMALS: the mean of a column of the metrics, for each of so many parts of the run.
parts() {
  awk -v key="\"$2\":" -v count="$3" -v format=" %6.$4f |" '
    { at = index($0, key); value[NR] = at ? substr($0, at + length(key)) + 0 : 0 }
    END { for (part = 0; part < count; part++) { sum = n = 0
      for (i = int(part * NR / count) + 1; i <= int((part + 1) * NR / count); i++) { sum += value[i]; n++ }
      printf format, n ? sum / n : 0 } }' "$out/$1/metrics/train_metrics.jsonl"
}

# loss NAME: of the last evaluation.
loss() { tail -n 1 "$out/$1/metrics/eval_metrics.jsonl" | sed 's/.*"loss":\([0-9.]*\).*/\1/'; }
