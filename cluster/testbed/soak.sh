#!/bin/bash
# Row 25 of the fault matrix: a long run of eight workers that are killed, stopped and cut off all the time, or, with
# --coordinator-kills, whose coordinator is. Prints how much of the undisturbed speed was kept, how the coordinator's
# memory went, and whether the result has the right hash; soak.py says what passes.
#
# usage: cluster/testbed/soak.sh [--minutes 10] [--workers 8] [--coordinator-kills] [--no-build] [--help]
set -euo pipefail
cd "$(dirname "$0")/../.."

arguments=() build=yes
for argument in "$@"; do
  if [ "$argument" = --no-build ]; then build=; else arguments+=("$argument"); fi
done
[ -z "$build" ] || cluster/build.sh >&2
exec cluster/testbed/soak.py "${arguments[@]}"
