#!/bin/bash
# A run over eight hosts with keys, on one machine: host 1 has the coordinator, 2 to 8 a worker each. Host 8 has no key
# and is refused, host 7 does not have the base model and fetches it, host 6 is cut off and healed. The adapter and the
# optimizer state must be those of a run by one process. It needs root (network.sh check).
#
# usage: cluster/testbed/hosts.sh [--steps 120] [--no-build] [--keep]
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=./checks.sh
source cluster/testbed/checks.sh

steps=120 build=yes keep=
while [ "$#" -gt 0 ]; do
  case $1 in
    --steps) steps=$2; shift ;;
    --no-build) build= ;;
    --keep) keep=yes ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done
network=$PWD/cluster/testbed/network.sh
export NL_NETWORK=nlh$$
"$network" check
[ -z "$build" ] || cluster/build.sh
PATH=$PWD/.build/release:$PATH
example=$PWD/examples/quickstart
folder=$(mktemp -d /tmp/nl-hosts-XXXXXX)

finish() {
  "$network" down || true
  if [ -n "$keep$failed" ]; then echo "The runs and logs are in $folder"; else rm -rf "$folder"; fi
}
trap finish EXIT

step() { wc -l 2>/dev/null <"$folder/eight/metrics/train_metrics.jsonl" || echo 0; }
reached() { [ "$(step)" -ge "$1" ]; }
ended() { ! kill -0 "$1" 2>/dev/null; }
train=(nl-coord train --config "$example/quickstart.json" --base-model-path "$example/base"
  --train-data-path "$example/genesis.jsonl" --output-path "$folder" --inactive-gradients sum
  --gradient-accumulation-steps 16 --num-steps "$steps" --eval-every 40)

worker() {
  local host=$1
  shift
  "$network" exec "$host" "$@" nl-worker --connect tcp://10.77.0.1:5555 --threads 1 "${key[@]}" \
    >"$folder/worker$host.log" 2>&1 &
}

# The base model is not there for this host alone: an empty folder lies over it.
without_model() {
  # shellcheck disable=SC2016  # The inner shell expands it.
  printf '%s\0' unshare --mount sh -c 'mount -t tmpfs none "$0" && exec "$@"' "$example/base"
}

say "the run by one process: $steps steps"
"${train[@]}" --experiment-name one --local-workers 1 >"$folder/one.log" 2>&1

for name in coordinator $(seq -f 'host%g' 2 7); do nl-tool keygen --output "$folder/$name" >/dev/null; done
cat "$folder"/host*.pub >"$folder/allowed"
"$network" up 8
"$network" exec 1 "${train[@]}" --experiment-name eight --local-workers 0 --listen tcp://10.77.0.1:5555 \
  --key "$folder/coordinator" --allow-keys "$folder/allowed" >"$folder/eight.log" 2>&1 &
coordinator=$!
until_true 60 grep -qs "listening on" "$folder/eight.log"

for host in 2 3 4 5 6; do
  key=(--key "$folder/host$host" --server-key "$folder/coordinator.pub")
  worker "$host"
done
key=(--key "$folder/host7" --server-key "$folder/coordinator.pub")
mapfile -d '' -t hidden < <(without_model)
worker 7 env XDG_CACHE_HOME="$folder/cache" "${hidden[@]}"
fetching=$!
key=(--insecure)
worker 8
expect "the run makes steps" until_true 60 reached 10
expect "host 8, without a key, is refused and told why" until_true 30 grep -q -- "--server-key" "$folder/worker8.log"
expect "host 7, without the base model, has fetched it" \
  until_true 60 grep -q "process $fetching,.*is ready" "$folder/eight.log"

"$network" partition 6 1
cut=$(step)
say "host 6 is cut off at step $cut"
expect "the others go on without host 6" until_true 60 reached $((cut + 5))
sleep 8
"$network" heal 6
healed=$SECONDS
joined() { [ "$(grep -c "joined" "$folder/worker6.log")" -ge 2 ]; }
expect "host 6 joins again after healing" until_true 30 joined
say "        $((SECONDS - healed)) s after healing"

wait "$coordinator" || { failed=yes; tail -n 5 "$folder/eight.log"; }
computed() {
  sqlite3 -readonly "$folder/eight/state.sqlite" "SELECT count(*) FROM assignments JOIN workers USING (term, worker)
    WHERE outcome = 'committed' AND purpose = 'train' AND pid = $1"
}
expect "host 7 has computed $(computed "$fetching") shards" [ "$(computed "$fetching")" -gt 0 ]
state() { nl-coord status "$folder/$1" --digest; }
expect "the adapter is that of one process: $(hash "$folder/eight")" [ "$(hash "$folder/one")" = "$(hash "$folder/eight")" ]
expect "the optimizer state is that of one process: $(state eight)" [ "$(state one)" = "$(state eight)" ]
[ -z "$failed" ]
