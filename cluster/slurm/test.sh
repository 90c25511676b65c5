#!/bin/bash
# Tests nested-learning.sbatch on the cluster that sinfo reaches: a job on two nodes is requeued in the middle, later
# told that its time is nearly over, and goes on both times. Adapter and optimizer state must be those of a run by one
# process. Where there is no cluster it says so and passes.
#
# usage: cluster/slurm/test.sh [--steps 120] [--no-build] [--keep] [--partition NAME]
#   --no-build   take the programs of $NL_BIN, or of .build/release, as they are
#
# The project's folder must be one that the nodes have too, as the run is kept in its .build.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../testbed/checks.sh
source cluster/testbed/checks.sh

steps=120 build=yes keep='' options=()
while [ "$#" -gt 0 ]; do
  case $1 in
    --steps) steps=$2; shift ;;
    --no-build) build= ;;
    --keep) keep=yes ;;
    --partition) options+=(--partition "$2"); shift ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done

skip() {
  echo "skipped: $1"
  echo "To make a small one: apt-get install slurm-wlm, and https://slurm.schedmd.com/quickstart_admin.html"
  exit 0
}
command -v sinfo >/dev/null || skip "there is no sinfo here"
nodes=$(timeout 20 sinfo -h -N -t idle,mixed,allocated -o %N 2>/dev/null | sort -u | wc -l) ||
  skip "sinfo reaches no cluster"
[ "$nodes" -ge 2 ] || skip "the cluster has $nodes nodes that work, and two are needed"

bin=${NL_BIN:-$PWD/.build/release}
[ -z "$build" ] || [ -n "${NL_BIN:-}" ] || cluster/build.sh
[ -x "$bin/nl-coord" ] || { echo "there is no nl-coord in $bin; leave out --no-build"; exit 1; }
mkdir -p .build
folder=$(mktemp -d "$PWD/.build/slurm-XXXXXX")
job=''

finish() {
  if [ -n "$job" ]; then scancel "$job" 2>/dev/null || true; fi
  if [ -n "$keep$failed" ]; then echo "The runs and logs are in $folder"; else rm -rf "$folder"; fi
}
trap finish EXIT
before_giving_up() { tail -n 20 "$folder/job.log" 2>/dev/null || true; }

example=$PWD/examples/quickstart
flags=(--base-model-path "$example/base" --train-data-path "$example/genesis.jsonl" --inactive-gradients sum
  --gradient-accumulation-steps 16 --num-steps "$steps" --eval-every 40)
one() {
  "$bin/nl-coord" train --config "$example/quickstart.json" "${flags[@]}" --output-path "$folder" \
    --experiment-name one --local-workers 1 >"$folder/one.log" 2>&1
}
need "the run by one process: $steps steps" one

step() { wc -l 2>/dev/null <"$folder/job/metrics/train_metrics.jsonl" || echo 0; }
reached() { [ "$(step)" -ge "$1" ]; }
said() { [ "$(grep -c -- "$1" "$folder/job.log" 2>/dev/null)" -ge "$2" ]; }
state() { scontrol show job "$job" -o | sed -n 's/.* JobState=\([A-Z_]*\).*/\1/p'; }
is() { [ "$(state)" = "$1" ]; }

# A job that is queued again waits for two minutes by Slurm's own rule: succeeds as COMMAND does, and has it begin
# sooner. Not in the second in which it was stopped: Slurm has revoked its credentials for that, and drops it then.
hurried() {
  if is PENDING && [ "$(starts_in)" -gt 10 ]; then
    scontrol update JobId="$job" StartTime=now+3seconds >/dev/null 2>&1 || true
  fi
  "$@"
}
starts_in() {
  local at
  at=$(scontrol show job "$job" -o | sed -n 's/.* StartTime=\([0-9T:-]*\).*/\1/p')
  [ -n "$at" ] && echo $(($(date -d "$at" +%s) - $(date +%s))) || echo 0
}

job=$(NL_BIN=$bin NL_CONFIG=$example/quickstart.json NL_OUTPUT_PATH=$folder NL_EXPERIMENT_NAME=job sbatch --parsable \
  --nodes=2 --cpus-per-task=1 --time=00:30:00 --output="$folder/job.log" ${options[0]+"${options[@]}"} \
  cluster/slurm/nested-learning.sbatch "${flags[@]}")
job=${job%%;*}
need "job $job makes steps" until_true 300 reached 10
expect "each of two nodes has a worker" [ "$(grep -o '^[^ ]*: a worker with' "$folder/job.log" | sort -u | wc -l)" = 2 ]

scontrol requeue "$job"
say "        at step $(step) the job is requeued"
need "it is queued again" until_true 60 is PENDING
at=$(step)
need "it goes on where it was" until_true 300 hurried reached $((at + 5))
expect "by a second start of the job" said "^[0-9:]*  start 1 of job" 1

stops=$(grep -c "Stopped; go on with" "$folder/job.log" || true)
scancel --batch --signal=USR1 "$job"
say "        at step $(step) its time is nearly over"
need "it stops, and queues itself again" until_true 60 is PENDING
expect "after the coordinator has finished its step" said "Stopped; go on with" $((stops + 1))
need "it goes on and completes" until_true 600 hurried is COMPLETED
expect "by a third start of the job" said "^[0-9:]*  start 2 of job" 1
expect "nothing went wrong in between" [ "$(grep -c 'does not match\|differs' "$folder/job.log")" = 0 ]
leftovers() { compgen -G "${TMPDIR:-/tmp}/nested-learning-$job-*" || true; }
expect "no key is left here" [ -z "$(leftovers)" ]
job=

digest() { "$bin/nl-coord" status "$folder/$1" --digest; }
expect "the adapter is that of one process: $(hash "$folder/job")" [ "$(hash "$folder/one")" = "$(hash "$folder/job")" ]
expect "the optimizer state is that of one process: $(digest job)" [ "$(digest one)" = "$(digest job)" ]
[ -z "$failed" ]
