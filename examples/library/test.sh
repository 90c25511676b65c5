#!/bin/bash
# Builds the example and trains with it: it has no child and no socket meanwhile, and its adapter is that of nl-coord with
# two workers, to the bit. The first build takes some minutes.
#
# usage: examples/library/test.sh [STEPS]
#   NL_BIN is the folder of the programs, .build/release by default.
set -euo pipefail
cd "$(dirname "$0")/../.."
source cluster/testbed/checks.sh

steps=${1:-40}
bin=${NL_BIN:-$PWD/.build/release}
folder=$(mktemp -d "${TMPDIR:-/tmp}/nl-library-XXXXXX")
trap 'rm -rf "$folder"' EXIT

swift build --package-path examples/library -c release
program=$(swift build --package-path examples/library -c release --show-bin-path)/train-in-process
"$program" examples/quickstart "$folder/alone" "$steps" >"$folder/log" &
pid=$!
seen=0 children='' sockets=''
while kill -0 "$pid" 2>/dev/null; do
  children+=$(cat /proc/$pid/task/*/children 2>/dev/null || true)
  sockets+=$(readlink /proc/$pid/fd/* 2>/dev/null | grep socket: || true)
  seen=$((seen + 1))
  sleep 0.05
done
need "the example trains" wait "$pid"
tail -3 "$folder/log"
expect "it was looked at while it trained ($seen times)" [ "$seen" -gt 5 ]
expect "it has no child process" [ -z "$children" ]
expect "it has no socket" [ -z "$sockets" ]
config=$folder/alone/in-process/config.json
sed "s|\"output_path\": \"[^\"]*\"|\"output_path\": \"$folder/cluster\"|; /\"inputs_sha256\"/,\$d" "$config" |
  sed '$ s/,[[:space:]]*$//; $ a }' >"$folder/config.json"
need "nl-coord trains the same config" "$bin/nl-coord" train --config "$folder/config.json" --local-workers 2 \
  >"$folder/coord.log"
expect "the adapters are the same to the bit" \
  [ "$(hash "$folder/alone/in-process")" = "$(hash "$folder/cluster/in-process")" ]
[ -z "$failed" ]
