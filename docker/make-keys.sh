#!/bin/bash
# Makes the keys of a cluster, once: what is there already stays as it is, so that it can be run at every start.
#
#   COORDINATOR_FOLDER/  coordinator.key and its .pub, workers.txt (who may join), metrics.token and
#                        page.token, which the page and the API want
#   WORKER_FOLDER/       worker-1.key to worker-COUNT.key and their .pub, coordinator.key.pub, metrics.token
#
# The coordinator's secret key is in its own folder alone: no worker needs to see it.
#
# usage: make-keys.sh COORDINATOR_FOLDER WORKER_FOLDER COUNT
set -euo pipefail

if [ "$#" != 3 ] || ! [[ $3 =~ ^[1-9][0-9]{0,4}$ ]]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
fi
coordinator=$1 worker=$2 count=$3
umask 077
made=0

# The secret key gets its name last: as long as it has none, nothing has been made of it.
make_key() {
  local key=$1 new
  [ ! -e "$key" ] || return 0
  new=$(dirname "$key")/.new
  rm -rf "$new"
  mkdir "$new"
  nl-tool keygen --output "$new/$(basename "$key")" >/dev/null
  mv "$new/$(basename "$key").pub" "$key.pub"
  [ "$#" = 1 ] || allow "$key.pub" "$2"
  mv "$new/$(basename "$key")" "$key"
  rmdir "$new"
  made=$((made + 1))
}

# Adds a public key to the list, which a coordinator may be reading: it is replaced as a whole.
allow() {
  local public=$1 list=$2
  { [ ! -e "$list" ] || cat "$list"; cat "$public"; } >"$list.new"
  mv "$list.new" "$list"
}

# Writes standard input to a file that appears whole.
put() {
  cat >"$1.new"
  mv "$1.new" "$1"
}

make_key "$coordinator/coordinator.key"
for ((number = 1; number <= count; number++)); do
  make_key "$worker/worker-$number.key" "$coordinator/workers.txt"
done
for token in metrics page; do
  [ -s "$coordinator/$token.token" ] || head -c 32 /dev/urandom | base64 | put "$coordinator/$token.token"
done
put "$worker/coordinator.key.pub" <"$coordinator/coordinator.key.pub"
put "$worker/metrics.token" <"$coordinator/metrics.token"
echo "$made keys made; $(wc -l <"$coordinator/workers.txt") workers may join"
