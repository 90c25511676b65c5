#!/bin/bash
# One answer, over time: trains a dozen small runs, each by another path through the coordinator, and compares adapter
# and state with those that cluster/testbed/digests.txt has recorded. A change of the program that changes a bit of any
# result is noticed here, also one that all tests within the same version agree on.
#
# usage: cluster/testbed/digests.sh [--record] [NAME ...]
#   --record   write the digests instead of comparing them; a digest that has to change is named in its commit
#
# NL_BIN is the folder of the programs, .build/release by default.
set -euo pipefail
cd "$(dirname "$0")/../.."

bin=${NL_BIN:-$PWD/.build/release}
list=$PWD/cluster/testbed/digests.txt
model=$PWD/Tests/LanguageModelTests/Fixtures/models
data=$PWD/Tests/LanguageModelTests/Fixtures/data
folder=$(mktemp -d /tmp/nl-digests-XXXXXX)
trap 'rm -rf "$folder"' EXIT

record=''
if [ "${1:-}" = --record ]; then
  record=yes
  shift
fi

# name | changes to the config | flags of train | what happens: nothing, or a list of kill, stop, worker
runs() {
  cat <<END
discard||--local-workers 2|
mean|"inactive_gradients": "mean", "tier_update_frequencies": [1, 2, 4], "flush_every": 3|--local-workers 3|
sum|"inactive_gradients": "sum", "tier_update_frequencies": [2, 3, 6], "flush_every": 100|--local-workers 2|
deep-fast|"tier_order": "deep_fast", "inactive_gradients": "mean"|--local-workers 1|
by-tier|"tier_update_frequencies": [1, 1, 2]|--local-workers 3 --shard-by tier|
dropout|"lora_dropout": 0.2, "gradient_accumulation_steps": 5|--local-workers 2|
loss-every|"tier_update_frequencies": [4, 8, 8], "loss_every": 6, "num_steps": 18|--local-workers 2|
early-stop|"early_stop": true, "patience": 2, "eval_every": 2, "min_delta": 0.5, "num_steps": 30|--local-workers 2|
verified|"verify_fraction": 1, "inactive_gradients": "mean"|--local-workers 2|
sampled|"verify_fraction": 0.3, "inactive_gradients": "sum", "flush_every": 2|--local-workers 3|
bf16|"arithmetic": "bf16_dot", "inactive_gradients": "mean"|--local-workers 2|
killed|"inactive_gradients": "mean", "num_steps": 60, "checkpoint_every": 20|--local-workers 2|kill kill
stopped|"num_steps": 60, "checkpoint_every": 20|--local-workers 2|stop
lost|"inactive_gradients": "sum", "flush_every": 50, "num_steps": 60|--local-workers 3|worker worker
packed|"packing": true, "inactive_gradients": "mean", "num_steps": 24|--local-workers 3|kill
random|"tier_assignment_strategy": "random", "tier_seed": 3, "inactive_gradients": "mean", "num_steps": 24|--local-workers 3|kill
module-type|"tier_assignment_strategy": "module_type", "module_type_tiers": {"attention": 0, "mlp": 2, "down_proj": 1}|--local-workers 2|
staggered|"tier_phase": "staggered", "inactive_gradients": "mean", "tier_update_frequencies": [1, 3, 5], "flush_every": 3, "num_steps": 40|--local-workers 3|kill worker
phases|"tier_phase": [1, 0, 3], "inactive_gradients": "sum", "tier_update_frequencies": [2, 3, 4], "num_steps": 40|--local-workers 2|stop worker
stages|"curriculum_strategy": "stages", "curriculum_stages": [{"target": 0, "frequencies": [1, 3, 4]}, {"target": 0, "frequencies": [2, 2, 3], "batch_size": 1}, {"target": 1}], "sampling_difficulty": "length", "inactive_gradients": "mean", "num_steps": 40|--local-workers 3|kill worker
moves|"curriculum_strategy": "stages", "curriculum_stages": [{"target": 0}, {"target": 0, "tier_map": {"*.0.*.q_proj": 2, "*.2.*": 1}, "frequencies": [1, 3, 4]}, {"target": 1}], "sampling_difficulty": "length", "inactive_gradients": "mean", "num_steps": 40|--local-workers 3|kill worker
full|"trainable": "full", "optimizer": "adamw", "weight_decay": 0.1|--local-workers 2|
END
}

config() {
  cat <<END
{"base_model_path": "$model/qwen2_f32", "train_data_path": "$data/train.jsonl", "val_data_path": "$data/valid.jsonl",
 "output_path": "$folder/runs", "experiment_name": "$1", "batch_size": 2, "max_seq_length": 32, "warmup_steps": 2,
 "learning_rate": 0.01, "lora_rank": 4, "seed": 7$(defaults "$2")$(printf '%s' "${2:+, $2}")}
END
}

# Values that a run has unless it says otherwise.
defaults() {
  local pair key
  for pair in '"num_steps": 12' '"gradient_accumulation_steps": 3' '"eval_every": 5' '"checkpoint_every": 100' \
    '"early_stop": false'; do
    key=${pair%%:*}
    [[ $1 == *"$key"* ]] || printf ', %s' "$pair"
  done
}

# Waits until a run has so many steps, or has ended.
steps() {
  local have
  until have=$(cat "$folder/runs/$1/metrics/train_metrics.jsonl" 2>/dev/null | wc -l) && [ "${have:-0}" -ge "$2" ]; do
    kill -0 "$3" 2>/dev/null || return 0
    sleep 0.02
  done
}

# Trains, and lets happen what is to happen.
train() {
  local name=$1 flags=$3 fault step=8 pid
  config "$name" "$2" >"$folder/$name.json"
  # shellcheck disable=SC2086
  "$bin/nl-coord" train --config "$folder/$name.json" --threads-per-worker 1 $flags >"$folder/$name.log" 2>&1 &
  pid=$!
  for fault in $4; do
    steps "$name" "$step" "$pid"
    case $fault in
      kill) kill -KILL "$pid" ;;
      stop) kill -INT "$pid" ;;
      worker) pkill -KILL -o -P "$pid" -f nl-worker || true ;;
    esac
    step=$((step + 12))
    [ "$fault" != worker ] || continue
    wait "$pid" 2>/dev/null || true
    # shellcheck disable=SC2086
    "$bin/nl-coord" resume "$folder/runs/$name" --threads-per-worker 1 ${flags%--shard-by*} >>"$folder/$name.log" 2>&1 &
    pid=$!
  done
  wait "$pid" || { cat "$folder/$name.log"; return 1; }
}

digests() {
  local run=$folder/runs/$1 final
  final=$run/checkpoints/final
  printf '%-12s %s %s\n' "$1" \
    "$(cat "$final"/adapters.safetensors "$final"/model.safetensors 2>/dev/null | sha256sum | head -c 32)" \
    "$("$bin/nl-coord" status "$run" --digest | head -c 32)"
}

all=''
while IFS='|' read -r name changes flags faults; do
  [ $# = 0 ] || [[ " $* " == *" $name "* ]] || continue
  train "$name" "$changes" "$flags" "$faults" </dev/null
  line=$(digests "$name")
  all+=$line$'\n'
  if [ -n "$record" ]; then
    echo "$line"
  elif grep -qxF "$line" "$list"; then
    echo "$line  same"
  else
    echo "$line  DIFFERS from: $(grep "^$name " "$list" || echo nothing)"
    failed=yes
  fi
done < <(runs)
[ -z "$record" ] || printf '%s' "$all" >"$list"
[ -z "${failed:-}" ]
