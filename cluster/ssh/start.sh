#!/bin/bash
# Trains with workers on other machines, which it reaches over ssh: copies the programs there if they lack or differ,
# makes keys where there are none (a secret key never leaves its machine), starts the coordinator here and a worker on
# each host, shows the run's progress, and ends everything together, when the run ends or at Ctrl-C. The exit status is
# the coordinator's. On the hosts nothing is needed but ssh without a password and five libraries, which cluster/README.md names.
#
# usage: cluster/ssh/start.sh HOSTS_FILE --config FILE [OPTIONS] [FLAGS OF nl-coord train]
#   HOSTS_FILE          a line [user@]host[:port] [threads=N] a host; # begins a comment
#   --config FILE       what is trained
#   --port N            the coordinator's port (default 5555); it must be reachable from the hosts
#   --listen ADDR       the coordinator's address (default 0.0.0.0, every one; [::] for IPv6). Only known keys get in
#   --address HOST      where the hosts find the coordinator (default: where their ssh connection comes from)
#   --logs DIR          a new folder for everything that is said (default ./logs/TIME)
#   --grace S           what the coordinator and the workers get to finish when they are stopped (default 30 s)
#   --skip-failed       go on without hosts that cannot be reached or used
#   --ssh-config FILE   for ssh, in place of ~/.ssh/config
#
# $NL_BIN names the folder of the programs (default .build/release). Flags such as --or-resume, --experiment-name and
# --num-steps go to nl-coord train. While the run goes on, from another terminal:
#   cluster/ssh/join.sh LOGS [HOSTS_FILE]   starts workers that ended, or on further hosts
#   cluster/ssh/stop.sh LOGS                stops the run, as Ctrl-C does
# Functions that a trap calls are not unreachable.
# shellcheck disable=SC2317
set -euo pipefail
# shellcheck source=common.sh
source "$(dirname "$0")/common.sh"

hosts_file='' config='' logs='' listen=0.0.0.0 skip='' flags=()
bin=${NL_BIN:-$here/../../.build/release}
while [ "$#" -gt 0 ]; do
  case $1 in
    --config | --port | --listen | --address | --logs | --grace | --ssh-config)
      [ "$#" -gt 1 ] || fail "$1 wants a value" ;;&
    --config) config=$2; shift ;;
    --port) port=$2; shift ;;
    --listen) listen=$2; shift ;;
    --address) address=$2; shift ;;
    --logs) logs=$2; shift ;;
    --grace) grace=$2; shift ;;
    --ssh-config) ssh_config=$(realpath "$2"); shift ;;
    --skip-failed) skip=yes ;;
    -h | --help) usage "$0"; exit ;;
    -*) flags+=("$1") ;;
    *) if [ -z "$hosts_file" ] && [ "${#flags[@]}" = 0 ]; then hosts_file=$1; else flags+=("$1"); fi ;;
  esac
  shift
done
if [ -z "$hosts_file" ] || [ -z "$config" ]; then usage "$0" >&2; exit 2; fi
[[ $port =~ ^[0-9]+$ && $grace =~ ^[0-9]+$ ]] || fail "--port and --grace are whole numbers"
# Workers are started once the coordinator has said that it listens.
case " ${flags[*]-} ${NL_LOG_LEVEL:+--log-level $NL_LOG_LEVEL} " in
  *--log-level[\ =]warning\ * | *--log-level[\ =]error\ *) fail "--log-level is notice at least: the coordinator has to say that it listens" ;;
esac
[ -x "$bin/nl-coord" ] || fail "there is no nl-coord in $bin" "build it with cluster/build.sh, or set NL_BIN"
bin=$(realpath "$bin")
read_hosts "$hosts_file"
session=$(date +%Y%m%d-%H%M%S)-$$
: "${logs:=logs/$session}"
[ ! -e "$logs" ] || fail "$logs exists already; give another --logs"
mkdir -p "$logs/workers"
logs=$(realpath "$logs")

own_key=$HOME/$folder/keys/coordinator
if [ ! -e "$own_key" ]; then
  mkdir -p "${own_key%/*}"
  "$bin/nl-tool" keygen --output "$own_key" >/dev/null
fi
read -r coordinator_key _ <"$own_key.pub"
coordinator='' follower='' interrupted=''

# A first Ctrl-C lets the coordinator finish its step, a second ends it at once. It does not hear a terminal's own.
interrupt() {
  interrupted=yes
  if [ -n "$coordinator" ]; then kill -TERM "$coordinator" 2>/dev/null || true; else exit 130; fi
}

# Its exit status; a signal ends a wait early, but not the run.
wait_for_coordinator() {
  local status before=0
  while :; do
    interrupted=
    status=0
    wait "$coordinator" || status=$?
    if [ -z "$interrupted" ]; then break; fi
    before=$status
  done
  # It ended together with a signal, and was waited for already.
  [ "$status" != 127 ] || status=$before
  return "$status"
}

finish() {
  trap '' INT TERM
  if [ -n "$coordinator" ]; then
    kill -TERM "$coordinator" 2>/dev/null || true
    wait "$coordinator" 2>/dev/null || true
  fi
  rm -f "$logs/pid"
  if [ -f "$logs/settings" ]; then
    say "stopping the workers and gathering their logs"
    # With the hosts that join.sh has added.
    read_session "$logs"
    stop_workers
    say "logs: $logs"
  fi
  if [ -n "$follower" ]; then kill "$follower" 2>/dev/null || true; fi
}
trap interrupt INT TERM HUP

say "preparing ${#names[@]} hosts"
on_every_host prepare_host
if [ "${#failed[@]}" -gt 0 ]; then
  [ -n "$skip" ] || fail "nothing was started; mend this, or give --skip-failed (logs: $logs/workers)"
  for i in "${failed[@]}"; do unset "names[i]" "addresses[i]" "ports[i]" "threads[i]"; done
  [ "${#names[@]}" -gt 0 ] || fail "no host is left"
fi
write_allowed
print_hosts >"$logs/hosts"
# shellcheck disable=SC2034
host=$(hostname)
for name in bin session host address port grace coordinator_key ssh_config; do
  printf '%s=%q\n' "$name" "${!name}"
done >"$logs/settings"
trap finish EXIT

# In a session of its own: else a terminal's Ctrl-C would reach it beside ours, and twice means at once.
NL_GRACE=$grace setsid "$bin/nl-coord" train --config "$config" --local-workers 0 --listen "tcp://$listen:$port" \
  --key "$own_key" --allow-keys "$logs/allowed" ${flags[0]+"${flags[@]}"} >"$logs/coordinator.log" 2>&1 </dev/null &
coordinator=$!
echo "$coordinator" >"$logs/pid"
tail -n +1 -s 0.3 -F --pid="$coordinator" "$logs/coordinator.log" 2>/dev/null &
follower=$!

# A large model is read and digested before the coordinator listens; what goes wrong till then is said by itself.
deadline=$((SECONDS + 1800))
until grep -qs "listening on" "$logs/coordinator.log" || ! kill -0 "$coordinator" 2>/dev/null; do
  [ "$SECONDS" -lt "$deadline" ] || fail "the coordinator does not listen after half an hour"
  sleep 0.2
done
if kill -0 "$coordinator" 2>/dev/null; then
  on_every_host start_worker
  say "started workers on $((${#names[@]} - ${#failed[@]})) of ${#names[@]} hosts (logs: $logs)"
fi
status=0
wait_for_coordinator || status=$?
coordinator=
# Its last words are shown before anything else is said.
wait "$follower" 2>/dev/null || true
follower=
exit "$status"
