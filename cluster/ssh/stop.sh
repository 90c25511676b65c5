#!/bin/bash
# Stops a run of start.sh: the coordinator finishes its step and writes a checkpoint, the workers end, their logs are
# gathered. It does so too where start.sh itself is gone and left them, and can be run again when a host is back.
#
# usage: cluster/ssh/stop.sh LOGS
#   LOGS   the run's folder of logs, which start.sh named
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

case ${1:---help} in -h | --help) usage "$0"; exit ;; esac
[ "$#" = 1 ] || fail "stop.sh wants the run's folder of logs alone; --grace is one of start.sh"
read_session "$1"
# Its coordinator could not be seen from another machine, and would go on.
[ "$host" = "$(hostname)" ] || fail "this run was started on $host; stop it there"
coordinator=$(cat "$logs/pid" 2>/dev/null || true)
# The number may be another program's by now.
if [ -n "$coordinator" ] && grep -qs nl-coord "/proc/$coordinator/comm"; then
  say "stopping the coordinator, process $coordinator"
  kill -TERM "$coordinator"
  deadline=$((SECONDS + grace + 60))
  while kill -0 "$coordinator" 2>/dev/null; do
    [ "$SECONDS" -lt "$deadline" ] || fail "it still writes; once more stops it at once, and nothing is lost by that"
    sleep 0.2
  done
fi
rm -f "$logs/pid"
say "stopping the workers and gathering their logs"
stop_workers
say "logs: $logs"
[ "${#failed[@]}" = 0 ]
