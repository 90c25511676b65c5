#!/bin/bash
# From a bare machine to a trained adapter: installs what is missing, builds, fine-tunes the small base model of
# examples/quickstart on the book of Genesis with two worker processes, and shows what that changed.
#
# It can be run again: nothing is installed or compiled twice, and each run gets a folder of its own, runs/quickstart,
# runs/quickstart-2 and so on. Nothing is ever deleted.
set -euo pipefail
cd "$(dirname "$0")/.."

example=examples/quickstart
prompt="And God"

# The first of quickstart, quickstart-2, … that is not there yet.
free_name() {
  local name=quickstart number=1
  while [ -e "runs/$name" ]; do
    number=$((number + 1))
    name=quickstart-$number
  done
  echo "$name"
}

cluster/install.sh
cluster/build.sh
PATH=$PWD/.build/release:$PATH

name=$(free_name)
adapter=runs/$name/checkpoints/final
echo
echo "== Training: runs/$name"
nl-coord train --config $example/quickstart.json --output-path runs --experiment-name "$name" \
  --local-workers 2 --threads-per-worker 1

# The rows that training held back: the last tenth.
held_back=.build/quickstart-held-back.jsonl
tail -n $(($(wc -l <$example/genesis.jsonl) / 10)) $example/genesis.jsonl >$held_back
evaluate() { nl-tool evaluate --data $held_back --max-seq-length 96 --model $example/base "$@"; }
generate() { nl-tool generate --prompt "$prompt" --max-tokens 30 --temperature 0.7 --seed 3 --model $example/base "$@"; }

echo
echo "== Loss on the verses that were held back"
echo "before  $(evaluate)"
echo "after   $(evaluate --adapter "$adapter")"
echo
echo "== What follows \"$prompt\""
echo "before  $(generate)"
echo "after   $(generate --adapter "$adapter")"
echo
echo "== Who computed what (sqlite3 runs/$name/state.sqlite; the tables: Sources/Ledger/SCHEMA.md)"
sqlite3 -header -column "runs/$name/state.sqlite" "
  SELECT worker, pid, count(*) AS shards, round(sum(seconds), 1) AS seconds
  FROM assignments JOIN workers USING (term, worker)
  WHERE outcome = 'committed' GROUP BY term, worker"
echo
echo "The adapter is in $adapter: it loads in mlx-lm, and its folder peft in PEFT."
