#!/bin/bash
# Runs a command with --key FILE: the first of the secret keys worker-*.key in a folder that nobody else uses. Each
# replica of a service so has a key of its own, by which the coordinator tells workers apart: it computes a sample of
# the work twice, by two keys, and leaves a key alone for a while whose worker keeps failing.
#
# A key in use is locked for as long as the process lives; the lock is the kernel's, so that no kill leaves it behind.
#
# usage: with-free-key.sh FOLDER COMMAND…
set -euo pipefail

if [ "$#" -lt 2 ]; then
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
fi
folder=$1
shift
# The lock is the file's that stays open over exec; reading is enough for it, so that the folder may be read-only.
for key in "$folder"/worker-*.key; do
  [ -e "$key" ] || break
  exec {lock}<"$key"
  if flock --exclusive --nonblock "$lock"; then exec "$@" --key "$key"; fi
  exec {lock}<&-
done
echo "$folder: no key is free; make more (NL_WORKER_KEYS in docker/README.md)" >&2
exit 1
