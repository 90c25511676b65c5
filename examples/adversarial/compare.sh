# What run.sh and planted.sh have in common; sourced by them, with the folders of own-folder.sh: $data has valid.jsonl and a
# config for each run, by its name.

base=examples/quickstart/base

train() { # NAME ROWS FLAGS…
  local name=$1 rows=$2
  shift 2
  echo "$name"
  nl-coord train --config "$data/$name.json" --experiment-name "$name" --base-model-path "$base" --train-data-path "$rows" \
    --val-data-path "$data/valid.jsonl" --output-path "$out" --seed "$seed" --local-workers 2 --threads-per-worker 1 "$@" |
    grep '^Evaluation'
}

accuracy() { # RUN DOMAIN
  grep "\"domain\": \"$2\"" "$data/valid.jsonl" > "$data/$2.jsonl"
  nl-tool evaluate --model "$base" --adapter "$out/$1/checkpoints/final" --data "$data/$2.jsonl" --json |
    sed -E 's/.*"accuracy": ?([0-9.e-]+).*/\1/'
}

# A table of both runs. What the probe finds stays in $plain and $adversarial, and the task of the last run in $task, in the
# domain without labels.
compare() { # LABELLED UNLABELLED
  printf '\n| %-11s | %-19s | %-22s | %-20s |\n' run "task, with labels" "task, without labels" "domain, by a probe"
  printf '|---|---|---|---|\n'
  local run probe
  for run in plain adversarial; do
    probe=$(nl-tool probe --model "$base" --data "$data/valid.jsonl" --adapter "$out/$run/checkpoints/final" --json |
      sed -E 's/.*"accuracy": ?([0-9.e-]+).*/\1/')
    task=$(accuracy "$run" "$2")
    printf '| %-11s | %-19.3f | %-22.3f | %-20.3f |\n' "$run" "$(accuracy "$run" "$1")" "$task" "$probe"
    declare -g "$run=$probe"
  done
}
