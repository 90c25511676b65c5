#!/bin/bash
# Runs the systemd units for real: boots a systemd of its own in namespaces, over a throw-away copy of this machine's
# files, and there a coordinator and a worker as services, with keys and all that the units forbid. The worker is
# killed, the coordinator stopped and started again; then the service of nl-coord serve is killed in a run. Adapter and
# optimizer state must be those of a run by one process.
# Nothing of this machine is changed. It needs root, systemd and a kernel that permits namespaces and overlays; where
# one is missing it says so and passes.
#
# usage: cluster/ssh/units.sh [--steps 60] [--no-build] [--keep]
#   --no-build   take the programs of $NL_BIN, or of .build/release, as they are
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=../testbed/checks.sh
source cluster/testbed/checks.sh

steps=60 build=yes keep=''
while [ "$#" -gt 0 ]; do
  case $1 in
    --steps) steps=$2; shift ;;
    --no-build) build= ;;
    --keep) keep=yes ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done

skip() {
  echo "skipped: $1"
  exit 0
}
[ "$(id -u)" = 0 ] || skip "a systemd of one's own needs root"
systemd=$(PATH=/usr/lib/systemd:/lib/systemd command -v systemd) || skip "systemd is missing (apt-get install systemd)"
for tool in unshare nsenter pivot_root sqlite3; do
  command -v "$tool" >/dev/null || skip "$tool is missing (apt-get install util-linux sqlite3)"
done
bin=$(realpath "${NL_BIN:-.build/release}")
[ -z "$build" ] || [ -n "${NL_BIN:-}" ] || cluster/build.sh
[ -x "$bin/nl-coord" ] || { echo "there is no nl-coord in $bin; leave out --no-build"; exit 1; }

folder=$(mktemp -d /tmp/nl-units-XXXXXX)
booted='' namespaces=(unshare --mount --pid --fork --uts --ipc --net --cgroup --kill-child)

finish() {
  if [ -n "$booted" ]; then kill -KILL "$booted" 2>/dev/null || true; wait "$booted" 2>/dev/null || true; fi
  if [ -n "$keep$failed" ]; then echo "The runs and logs are in $folder"; else rm -rf "$folder"; fi
}
trap finish EXIT
before_giving_up() { inside journalctl --no-pager -n 40 -u 'nl-*' >"$folder/journal" 2>&1 || true; }

# This machine's files, with everything that is written kept in memory.
cat >"$folder/root.sh" <<'END'
set -eu
folder=$1 root=$1/root
mount --make-rprivate /
mkdir -p "$folder/memory" "$root"
mount -t tmpfs none "$folder/memory"
mkdir "$folder/memory/upper" "$folder/memory/work"
mount -t overlay overlay -o "lowerdir=/,upperdir=$folder/memory/upper,workdir=$folder/memory/work" "$root"
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
if [ -e /sys/fs/cgroup/cgroup.controllers ]; then
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup"
else
  mount -t tmpfs -o mode=755 tmpfs "$root/sys/fs/cgroup"
  mkdir "$root/sys/fs/cgroup/systemd" "$root/sys/fs/cgroup/unified"
  mount -t cgroup -o none,name=systemd cgroup "$root/sys/fs/cgroup/systemd"
  mount -t cgroup2 cgroup2 "$root/sys/fs/cgroup/unified"
fi
END
# What this machine itself starts stays out; PID 1 of the namespaces is systemd.
cat >"$folder/boot.sh" <<'END'
set -eu
. "$1/root.sh" "$1"
ip link set lo up 2>/dev/null || true
hostname units
find "$root/etc/systemd/system" -mindepth 1 -delete
printf '[Unit]\nDescription=Nothing but what is tested\nRequires=dbus.socket\nAfter=dbus.socket\n' \
  >"$root/etc/systemd/system/test.target"
etc=$root/etc/nested-learning
mkdir -p "$etc" "$root/etc/sysusers.d" "$root/usr/local/bin"
cp "$bin/nl-coord" "$bin/nl-worker" "$bin/nl-tool" "$root/usr/local/bin"
cp cluster/ssh/systemd/*.service "$root/etc/systemd/system"
cp cluster/ssh/systemd/nested-learning.sysusers "$root/etc/sysusers.d/nested-learning.conf"
chroot "$root" systemd-sysusers
"$bin/nl-tool" keygen --output "$etc/coordinator.key"
"$bin/nl-tool" keygen --output "$etc/worker.key"
cp "$etc/worker.key.pub" "$etc/workers.txt"
printf '%s\n' "NL_CONFIG=$PWD/examples/quickstart/quickstart.json" NL_INACTIVE_GRADIENTS=sum \
  NL_GRADIENT_ACCUMULATION_STEPS=16 "NL_NUM_STEPS=$steps" NL_EVAL_EVERY=40 >"$etc/test.env"
printf '%s\n' "NL_MODELS=$PWD/examples/quickstart" "NL_DATA=$PWD/examples/quickstart" >"$etc/serve.env"
printf '%s\n' NL_CONNECT=tcp://127.0.0.1:5555 NL_THREADS=1 >"$etc/worker.env"
cd "$root"
mkdir old
pivot_root . old
umount --lazy /old
cd /
# The copies of keys that systemd makes are mounted, and are to be seen by the services.
mount --make-rshared /
exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin "$systemd" --system --unit=test.target \
  --log-target=console
END

"${namespaces[@]}" sh "$folder/root.sh" "$folder" >"$folder/root.log" 2>&1 ||
  skip "the kernel does not permit what this needs: $(tail -n 1 "$folder/root.log")"

example=$PWD/examples/quickstart
one() {
  "$bin/nl-coord" train --config "$example/quickstart.json" --inactive-gradients sum \
    --gradient-accumulation-steps 16 --num-steps "$steps" --eval-every 40 --output-path "$folder" \
    --experiment-name one --local-workers 1 >"$folder/one.log" 2>&1
}
need "the run by one process: $steps steps" one

export bin steps systemd
setsid "${namespaces[@]}" bash "$folder/boot.sh" "$folder" </dev/null >"$folder/boot.log" 2>&1 &
booted=$!
inside() { timeout 60 nsenter --target "$(pgrep -P "$booted")" --all --root --wd "$@"; }
running() { inside systemctl is-system-running >"$folder/state" 2>/dev/null || grep -q degraded "$folder/state"; }
need "a systemd of its own is up" until_true 60 running

run=/var/lib/nested-learning/test
step() { inside sqlite3 -readonly $run/state.sqlite "SELECT coalesce(max(step), 0) FROM steps" 2>/dev/null || echo 0; }
reached() { [ "$(step)" -ge "$1" ]; }
property() { inside systemctl show "$1" --property "$2" --value; }
is() { [ "$(property "$1" "$2")" = "$3" ]; }
started_again() { is nl-worker ActiveState active && [ "$(property nl-worker MainPID)" != "$1" ]; }
stopped() { inside nl-coord status $run | grep "stopped" >/dev/null; }

expect "the services start" inside systemctl start nl-coord@test nl-worker
need "the run makes steps" until_true 60 reached 5
key=/run/credentials/nl-worker.service/key
no_other_reads() {
  inside test -s $key && ! inside setpriv --reuid=nobody --regid=nogroup --clear-groups cat $key >"$folder/key" 2>&1
}
expect "nobody else can read the worker's key" no_other_reads
# From the kernel itself.
locked() {
  # shellcheck disable=SC2016
  inside awk '/^(CapEff|CapBnd|NoNewPrivs|Seccomp):/ {printf "%s ", $2}' "/proc/$(property "$1" MainPID)/status"
}
for service in nl-coord@test nl-worker; do
  expect "$service has no capabilities and a filter of system calls" \
    [ "$(locked $service)" = "0000000000000000 0000000000000000 1 2 " ]
done
worker=$(property nl-worker MainPID)
inside systemctl kill --signal=KILL nl-worker
expect "a worker that was killed is started again" until_true 30 started_again "$worker"
at=$(step)
expect "and the run goes on" until_true 60 reached $((at + 3))
expect "the coordinator stops, with success" inside systemctl stop nl-coord@test
expect "having written what is to be kept" is nl-coord@test ExecMainStatus 0
expect "the run can be gone on with" stopped
expect "it starts again" inside systemctl start nl-coord@test
expect "the worker comes back by itself, and the run ends" until_true 300 is nl-coord@test ActiveState inactive
expect "with success" is nl-coord@test Result success
hash_inside() { inside sha256sum $run/checkpoints/final/adapters.safetensors | cut -c 1-64; }
expect "the adapter is that of one process: $(hash_inside)" [ "$(hash "$folder/one")" = "$(hash_inside)" ]
digest() { "$bin/nl-coord" status "$folder/one" --digest; }
digest_inside() { inside nl-coord status $run --digest; }
expect "the optimizer state is that of one process: $(digest_inside)" [ "$(digest)" = "$(digest_inside)" ]

# The same run by the service.
api() { inside curl -s "http://127.0.0.1:8000/nested-learning/$1" "${@:2}"; }
served() { api "status?experiment=served" | grep "\"status\":\"$1\"" >/dev/null; }
served_step() { api "status?experiment=served" | grep -o '"current_step":[0-9]*' | cut -d : -f 2; }
begun() { [ "$(served_step)" -ge 3 ]; }
config() {
  python3 -c 'import json, sys
config = json.load(open(sys.argv[1]))
config.pop("output_path", None)
config.update(experiment_name="served", inactive_gradients="sum", gradient_accumulation_steps=16,
  num_steps=int(sys.argv[2]), eval_every=40)
print(json.dumps(config))' "$example/quickstart.json" "$steps"
}
expect "the service starts" inside systemctl start nl-serve
expect "and answers" until_true 30 inside curl -sf http://127.0.0.1:8000/healthz -o /dev/null
expect "it takes a run" api start --json "$(config)" --fail -o /dev/null
need "which makes steps" until_true 60 begun
expect "it has no capabilities and a filter of system calls" \
  [ "$(locked nl-serve)" = "0000000000000000 0000000000000000 1 2 " ]
inside systemctl kill --signal=KILL nl-serve
expect "after a kill it goes on by itself, to the end" until_true 300 served completed
served_hash() {
  inside sha256sum /var/lib/nested-learning-service/runs/served/checkpoints/final/adapters.safetensors | cut -c 1-64
}
expect "the adapter is that of one process: $(served_hash)" [ "$(hash "$folder/one")" = "$(served_hash)" ]
[ -z "$failed" ]
