#!/bin/bash
# Starts workers for a run that goes on: on its hosts where none runs any more, or on further hosts, whose keys are
# added to the run's allow-list. The coordinator reads that again by itself.
#
# usage: cluster/ssh/join.sh LOGS [HOSTS_FILE]
#   LOGS         the run's folder of logs, which start.sh named
#   HOSTS_FILE   further hosts; without it, those that the run was started with
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

case ${1:---help} in -h | --help) usage "$0"; exit ;; esac
read_session "$1"
[ "$host" = "$(hostname)" ] || fail "this run was started on $host; do it there"
kill -0 "$(cat "$logs/pid" 2>/dev/null || echo none)" 2>/dev/null || fail "no run of $logs goes on"
if [ "$#" -gt 1 ]; then
  session_hosts=$(cat "$logs/hosts")
  read_hosts "$2"
  for name in "${names[@]}"; do
    ! cut -d ' ' -f 1 <<<"$session_hosts" | grep -xF -- "$name" >/dev/null || fail "$name is one of the run's hosts already"
  done
fi
on_every_host prepare_host
for i in ${failed[0]+"${failed[@]}"}; do unset "names[i]" "addresses[i]" "ports[i]" "threads[i]"; done
missing=${#failed[@]}
[ "${#names[@]}" -gt 0 ] || fail "none of the hosts can be used"
# The coordinator looks at the list every second, and a worker that comes before that is refused.
changes() { grep -c "file of --allow-keys has changed" "$logs/coordinator.log" || true; }
seen=$(changes)
before=$(sort "$logs/allowed")
write_allowed
if [ "$before" != "$(sort "$logs/allowed")" ]; then
  deadline=$((SECONDS + 10))
  until [ "$(changes)" -gt "$seen" ] || [ "$SECONDS" -ge "$deadline" ]; do sleep 0.1; done
fi
if [ "$#" -gt 1 ]; then print_hosts >>"$logs/hosts"; fi
on_every_host start_worker
for name in "${names[@]}"; do say "$name: $(tail -n 1 "$logs/workers/$name.ssh.log")"; done
[ "$((missing + ${#failed[@]}))" = 0 ]
