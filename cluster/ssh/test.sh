#!/bin/bash
# Tests start.sh, join.sh and stop.sh on this machine: a host with the coordinator and three with an sshd each, all in
# network namespaces. The three have home folders of their own and neither the programs, the Swift toolchain nor the
# base model. In the run one worker is killed and started again, one host loses its link and gets it back, and the run
# is stopped and gone on with. Adapter and optimizer state must be those of a run by one process. The systemd units are
# checked as well. It needs root; where that or a tool is missing it says so and passes.
#
# usage: cluster/ssh/test.sh [--steps 60] [--no-build] [--keep] [--units]
#   --no-build   take the programs of $NL_BIN, or of .build/release, as they are
#   --units      check the systemd units only
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../testbed/checks.sh
source cluster/testbed/checks.sh

steps=60 build=yes keep='' hosts=yes
while [ "$#" -gt 0 ]; do
  case $1 in
    --steps) steps=$2; shift ;;
    --no-build) build= ;;
    --keep) keep=yes ;;
    --units) hosts= ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done
bin=${NL_BIN:-$PWD/.build/release}
network=$PWD/cluster/testbed/network.sh
export NL_NETWORK=nls$$
folder=$(mktemp -d /tmp/nl-ssh-XXXXXX)
starter='' up=''

finish() {
  if [ -n "$starter" ]; then kill -TERM "$starter" 2>/dev/null || true; fi
  if [ -n "$up" ]; then "$network" down || true; fi
  if [ -n "$keep$failed" ]; then echo "The runs and logs are in $folder"; else rm -rf "$folder"; fi
}
trap finish EXIT

# The units, with the programs where they are here: verify looks whether they exist.
check_units() {
  local unit
  if ! systemd-analyze --version 2>/dev/null | awk 'NR == 1 {exit $2 < 250}'; then
    say "skipped the units: systemd-analyze of systemd 250 or newer is missing (apt-get install systemd)"
    return
  fi
  mkdir "$folder/units"
  for unit in cluster/ssh/systemd/*.service; do
    sed "s|/usr/local/bin/|$bin/|" "$unit" >"$folder/units/${unit##*/}"
    unit=$folder/units/${unit##*/}
    expect "systemd-analyze verify: ${unit##*/}" silent systemd-analyze verify "$unit"
    # In tenths.
    expect "systemd-analyze security, at most 2.0: ${unit##*/}" quietly \
      systemd-analyze security --offline=true --threshold=20 --no-pager "$unit"
    say "        $(tail -n 1 "$folder/quiet" | sed 's/^[^A-Za-z]*//')"
  done
}

quietly() { "$@" >"$folder/quiet" 2>&1; }
# Succeeds, and has nothing to say.
silent() {
  if quietly "$@" && [ ! -s "$folder/quiet" ]; then return; fi
  cat "$folder/quiet"
  return 1
}
not() { ! "$@"; }
all() {
  local command=$1 i
  for i in 2 3 4; do "$command" "$i" || return 1; done
}

[ -z "$build" ] || [ -n "${NL_BIN:-}" ] || cluster/build.sh
[ -x "$bin/nl-coord" ] || { echo "there is no nl-coord in $bin; leave out --no-build"; exit 1; }
check_units
[ -n "$hosts" ] || { [ -z "$failed" ]; exit; }

if ! "$network" check; then
  say "skipped the hosts: see above (apt-get install iproute2 nftables; then as root, where namespaces are permitted)"
  [ -z "$failed" ]
  exit
fi
for tool in ssh ssh-keygen sqlite3 unshare; do
  command -v "$tool" >/dev/null || {
    say "skipped the hosts: $tool is missing (apt-get install openssh-client sqlite3 util-linux)"
    exit
  }
done
sshd=$(PATH=$PATH:/usr/sbin command -v sshd) || {
  say "skipped the hosts: sshd is missing (apt-get install openssh-server)"
  exit
}

example=$PWD/examples/quickstart
flags=(--base-model-path "$example/base" --train-data-path "$example/genesis.jsonl" --output-path "$folder"
  --inactive-gradients sum --gradient-accumulation-steps 16 --num-steps "$steps" --eval-every 40)
one() {
  "$bin/nl-coord" train --config "$example/quickstart.json" "${flags[@]}" --experiment-name one --local-workers 1
}
need "the run by one process: $steps steps" quietly one

# Host I, of 2 to 4: an sshd with a key, a port, a name and a home folder of its own, and nothing of what is here. A
# worker there waits for a tenth of a second at each micro-batch, so that no machine is too fast for what is done to it.
home=$(getent passwd root | cut -d : -f 6)
swift=$(ldd "$bin/nl-worker" | awk '$1 == "libswiftCore.so" {print $3}')
host() {
  local own=$folder/host$1 hidden=("$PWD" "$(realpath "$bin")")
  [ -z "$swift" ] || hidden+=("${swift%/*}")
  mkdir -p "$own/home"
  ssh-keygen -q -t ed25519 -N '' -f "$own/hostkey"
  printf '%s\n' "Port 220$1" "AddressFamily inet" "ListenAddress 10.77.0.$1" "HostKey $own/hostkey" \
    "AuthorizedKeysFile $folder/me.pub" "PasswordAuthentication no" "KbdInteractiveAuthentication no" "UsePAM no" \
    "StrictModes no" "PidFile none" "SetEnv NL_FAILPOINTS=compute.delay=0.1" >"$own/sshd_config"
  echo "[10.77.0.$1]:220$1 $(cut -d ' ' -f 1,2 "$own/hostkey.pub")" >>"$folder/known_hosts"
  echo "root@10.77.0.$1:220$1 threads=1   # host $1" >>"$folder/hosts$((1 + $1 / 4))"
  # shellcheck disable=SC2016
  "$network" exec "$1" unshare --mount --uts sh -c 'hostname "host$0"; mount --bind "$1" "$2"; sshd=$3; shift 3
    for hidden; do mount -t tmpfs none "$hidden"; done
    mount -t tmpfs none /run && mkdir -m 755 /run/sshd && cd / && exec "$sshd" -D -e -f "$OWN/sshd_config"' \
    "$1" "$own/home" "$home" "$sshd" "${hidden[@]}" >"$own/sshd.log" 2>&1 &
  # Its end is not worth a line.
  disown
}
export OWN
ssh-keygen -q -t ed25519 -N '' -f "$folder/me"
printf '%s\n' "IdentityFile $folder/me" "IdentitiesOnly yes" "UserKnownHostsFile $folder/known_hosts" \
  "StrictHostKeyChecking yes" >"$folder/ssh_config"
up=yes
"$network" up 4
for i in 2 3 4; do
  OWN=$folder/host$i
  host "$i"
done
for i in 2 3 4; do
  need "host $i has an sshd" until_true 20 grep -q "Server listening" "$folder/host$i/sshd.log"
done

# On host 1, with a home folder of its own too.
mkdir "$folder/home"
on_first=("$network" exec 1 env --default-signal=INT HOME="$folder/home" NL_BIN="$bin")

cat "$folder/hosts1" "$folder/hosts2" >"$folder/hosts"

# Starts the run over ssh, in a session of its own as a terminal would, which Ctrl-C reaches: start LOGS HOSTS FLAGS…
start() {
  local hosts=$folder/$2
  logs=$folder/$1
  shift 2
  "${on_first[@]}" setsid cluster/ssh/start.sh "$hosts" --config "$example/quickstart.json" "${flags[@]}" \
    --port 5600 --experiment-name over-ssh --ssh-config "$folder/ssh_config" --logs "$logs" "$@" >"$logs.out" 2>&1 &
  starter=$!
}

step() { wc -l 2>/dev/null <"$folder/over-ssh/metrics/train_metrics.jsonl" || echo 0; }
reached() { [ "$(step)" -ge "$1" ]; }
joined() {
  local session=$folder/host$1/home/.local/share/nested-learning/sessions
  [ "$(cat "$session"/*/log 2>/dev/null | grep -c " joined")" -ge "${2:-1}" ]
}
# The number of the worker on host I.
worker() {
  local pid
  for pid in $(ip netns pids "$NL_NETWORK$1"); do
    if [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = nl-worker ]; then echo "$pid"; fi
  done
}
no_worker() { [ -z "$(worker "$1")" ]; }
# The exit status of start.sh; it is waited for with a bound.
ended() { ! kill -0 "$starter" 2>/dev/null; }
succeeded() {
  until_true "$1" ended || return 1
  local status=0
  wait "$starter" || status=$?
  starter=
  return "$status"
}

start first hosts1
need "the run over ssh makes steps" until_true 120 reached 3
expect "join.sh adds host 4" quietly "${on_first[@]}" cluster/ssh/join.sh "$logs" "$folder/hosts2"
need "all three hosts take part" until_true 60 all joined
secret=$(tail -n 1 "$folder/host2/home/.local/share/nested-learning/keys/worker")
expect "no secret key has left its host" not grep -rqsF -- "${secret#* }" "$folder/home" "$logs"

kill -KILL "$(worker 3)"
"$network" linkdown 4
cut=$(step)
say "        at step $cut the worker on host 3 is killed and host 4 loses its link"
expect "host 2 goes on by itself" until_true 60 reached $((cut + 5))
expect "join.sh fails for host 4, which cannot be reached" not quietly "${on_first[@]}" cluster/ssh/join.sh "$logs"
expect "join.sh starts the worker on host 3 again" until_true 30 joined 3 2
"$network" heal 4
expect "host 4 joins again once it has its link" until_true 60 joined 4 2
say "        at step $(step) the run is stopped"
kill -INT -- "-$starter"
expect "start.sh ends, with exit status 0" succeeded 90
expect "the run is stopped, and not finished" \
  grep -q "over-ssh: stopped" <("$bin/nl-coord" status "$folder/over-ssh")
for i in 2 3 4; do
  expect "host $i has no worker any more" no_worker "$i"
  expect "its log is here" grep -q joined "$logs/workers/10.77.0.${i}_220$i.log"
done
# As its user does for a host that could not be reached before.
expect "stop.sh can be run once more" quietly "${on_first[@]}" cluster/ssh/stop.sh "$logs"
expect "and loses no log" [ "$(grep -l joined "$logs"/workers/10.77.0.*.log | grep -vc '[.]ssh[.]log')" = 3 ]

start second hosts --or-resume
expect "the run goes on and ends, with exit status 0" succeeded 300
expect "programs that are there are not sent again" not grep -q sending "$logs"/workers/*.ssh.log
hosts_of_results() {
  sqlite3 -readonly "$folder/over-ssh/state.sqlite" "SELECT count(DISTINCT host) FROM assignments
    JOIN workers USING (term, worker) WHERE outcome = 'committed' AND purpose = 'train'"
}
expect "the results are of three hosts" [ "$(hosts_of_results)" = 3 ]
state() { "$bin/nl-coord" status "$folder/$1" --digest; }
expect "the adapter is that of one process: $(hash "$folder/over-ssh")" [ "$(hash "$folder/one")" = "$(hash "$folder/over-ssh")" ]
expect "the optimizer state is that of one process: $(state over-ssh)" [ "$(state one)" = "$(state over-ssh)" ]

start third hosts --num-steps 0
expect "a run that cannot start gives its exit status" not succeeded 60
expect "no worker is left" all no_worker
[ -z "$failed" ]
