#!/bin/bash
# Trains on this machine alone: a coordinator and N workers, which it starts, and starts again when they die. It is
# `nl-coord train --local-workers N` with the programs found and the cores divided; all other arguments go there.
#
# usage: cluster/local.sh [--workers N] [--threads N] [--no-build] [--config FILE] [FLAGS OF nl-coord train]
#   --workers N     worker processes (default 2, or 1 on a machine with one core)
#   --threads N     threads of each (default: the cores, divided among the workers)
#   --no-build      take the programs of .build/release as they are
#   --config FILE   what is trained (default examples/quickstart/quickstart.json, a small shipped model)
#
# $NL_BIN names a folder of programs to take instead of building them. Ctrl-C finishes the step and writes a
# checkpoint; the same command with --or-resume goes on from there.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)

usage() { sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0"; }

cores=$(nproc)
workers=$((cores > 1 ? 2 : 1)) threads='' build=yes flags=()
config=${NL_CONFIG:-$project/examples/quickstart/quickstart.json}
while [ "$#" -gt 0 ]; do
  case $1 in
    --workers | --threads | --config)
      [ "$#" -gt 1 ] || { echo "$1 wants a value" >&2; exit 2; } ;;&
    --workers) workers=$2; shift ;;
    --threads) threads=$2; shift ;;
    --config) config=$2; shift ;;
    --no-build) build= ;;
    -h | --help) usage; exit ;;
    *) flags+=("$1") ;;
  esac
  shift
done
[[ $workers =~ ^[1-9][0-9]*$ ]] || { echo "--workers must be 1 or more" >&2; exit 2; }
: "${threads:=$((cores > workers ? cores / workers : 1))}"

bin=${NL_BIN:-$project/.build/release}
if [ -n "$build" ] && [ -z "${NL_BIN:-}" ]; then "$project/cluster/build.sh"; fi
[ -x "$bin/nl-coord" ] || { echo "there is no nl-coord in $bin; leave out --no-build" >&2; exit 1; }
# In place of this script, so that Ctrl-C and the exit status are the coordinator's own.
exec "$bin/nl-coord" train --config "$config" --local-workers "$workers" --threads-per-worker "$threads" \
  ${flags[0]+"${flags[@]}"}
