#!/bin/bash
# The metrics as Prometheus sees them: a run of examples/quickstart with two workers, each program with its
# /metrics behind a token. promtool finds nothing to object to, a real Prometheus scrapes all of it, and answers
# the three questions of cluster/README.md.
#
# usage: cluster/testbed/metrics.sh [--no-build]
# Needs Debian's package prometheus and curl; without them it says so and passes.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=./checks.sh
source cluster/testbed/checks.sh

case ${1:-} in
  '') cluster/build.sh ;;
  --no-build) ;;
  *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
for tool in prometheus promtool curl python3; do
  command -v "$tool" >/dev/null || { echo "Skipped: there is no $tool here (apt-get install prometheus curl python3)"; exit 0; }
done
PATH=${NL_BIN:-$PWD/.build/release}:$PATH
example=$PWD/examples/quickstart
folder=$(mktemp -d /tmp/nl-metrics-XXXXXX)
trap 'kill $(jobs -p) 2>/dev/null || true; wait; rm -rf "$folder"' EXIT

# Three ports that are free now.
read -r coordinator worker prometheus work < <(python3 -c '
import socket
all = [socket.socket() for _ in range(4)]
for one in all: one.bind(("127.0.0.1", 0))
print(*[one.getsockname()[1] for one in all])')

head -c 32 /dev/urandom | base64 >"$folder/token"
nl-coord train --config "$example/quickstart.json" --base-model-path "$example/base" \
  --train-data-path "$example/genesis.jsonl" --output-path "$folder" --experiment-name metrics --num-steps 100000 \
  --local-workers 0 --listen "tcp://127.0.0.1:$work" \
  --metrics-listen "127.0.0.1:$coordinator" --metrics-token "$folder/token" >"$folder/coordinator.log" 2>&1 &
nl-worker --connect "tcp://127.0.0.1:$work" --threads 1 --metrics-listen "127.0.0.1:$worker" \
  --metrics-token "$folder/token" >"$folder/worker.log" 2>&1 &
workers=$!
nl-worker --connect "tcp://127.0.0.1:$work" --threads 1 >"$folder/other.log" 2>&1 &
workers="$workers $!"

metrics() { curl --silent --fail --oauth2-bearer "$(cat "$folder/token")" "http://127.0.0.1:$1/metrics"; }
has() { metrics "$1" | grep "$2" >/dev/null; }
before_giving_up() { tail "$folder"/*.log >&2; }
need "the coordinator counts steps" until_true 60 has "$coordinator" '^nl_steps_total [1-9]'
need "the worker counts shards" until_true 60 has "$worker" '^nl_worker_shards_total{outcome="computed"} [1-9]'

status=$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$coordinator/metrics")
need "without the token the answer is 401: $status" [ "$status" = 401 ]
for port in $coordinator $worker; do
  metrics "$port" >"$folder/text"
  names=$(grep -c '^# TYPE' "$folder/text")
  need "promtool objects to none of $names names" promtool check metrics <"$folder/text"
done

cat >"$folder/prometheus.yaml" <<END
global: {scrape_interval: 1s}
scrape_configs:
  - job_name: nested-learning
    authorization: {credentials_file: $folder/token}
    static_configs: [{targets: ["127.0.0.1:$coordinator", "127.0.0.1:$worker"]}]
END
prometheus --config.file="$folder/prometheus.yaml" --storage.tsdb.path="$folder/tsdb" \
  --web.listen-address="127.0.0.1:$prometheus" --log.level=warn >"$folder/prometheus.log" 2>&1 &

query() { curl --silent --fail --get --data-urlencode "query=$1" "http://127.0.0.1:$prometheus/api/v1/query"; }
# The values of an answer, with their labels; nothing as long as there is none.
answer() {
  query "$1" | python3 -c '
import json, sys
for one in json.load(sys.stdin)["data"]["result"]:
    print("       ", " ".join(f"{k}={v}" for k, v in sorted(one["metric"].items()) if k not in ("instance", "job")), one["value"][1])'
}
answers() { [ -n "$(answer "$1" 2>/dev/null)" ]; }
up() { [ "$(answer 'sum(up)' 2>/dev/null | tr -d ' ')" = 2 ]; }
need "Prometheus reads coordinator and worker" until_true 60 up

for question in 'rate(nl_trained_tokens_total[1m])' 'sum by (phase) (rate(nl_phase_seconds_total[5m]))'; do
  need "$question" until_true 60 answers "$question"
  answer "$question"
done

# The alert: nothing while the workers are there, and 1 when they are gone.
alert='sum(nl_workers{state=~"ready|busy"}) == 0 and on() nl_run_state{state="paused"} == 1'
quiet() { ! answers "$alert"; }
need "no alert while all is well" quiet
# shellcheck disable=SC2086 # two numbers
kill -STOP $workers
need "$alert" until_true 120 answers "$alert"
answer "$alert"
# shellcheck disable=SC2086
kill -CONT $workers
