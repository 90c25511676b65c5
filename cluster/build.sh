#!/bin/bash
# Builds the programs in release mode: .build/release/nl-coord, nl-worker and nl-tool. Further arguments go to
# `swift build`; with --build-tests the tests are built too.
#
# All scripts build with these flags, so that whatever runs second compiles nothing again: the tests look into
# modules (@testable), which -enable-testing permits, and run in release mode, since kernels without optimisation are
# some hundred times slower. The output goes to .build/build.log.
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p .build

log=.build/build.log
echo "Building in release mode; the first time takes some minutes (log: $log)"
SECONDS=0
: >"$log"

# What is being compiled: in one line on a terminal that is written anew each second, else in a line a minute. How much
# is left shows only as the build finds it out, so that no time is foretold.
progress() {
  local pause=60 before='' after='\n' at
  if [ -t 1 ]; then pause=1 before='\r\033[K' after=''; fi
  # A pause that outlives this function holds no pipe open.
  while sleep "$pause" >/dev/null 2>&1; do
    at=$(tail -c 8192 "$log" | sed -nE 's/^\[([0-9]+)\/([0-9]+)\] Compiling (plugin )?([^ ]+).*/\4 (\1 of \2 steps)/p' | tail -n 1)
    # shellcheck disable=SC2059
    printf "$before  %s s: %s$after" "$SECONDS" "${at:-getting the packages}"
  done
}

progress &
watcher=$!
stop_progress() {
  kill "$watcher" 2>/dev/null || return 0
  wait "$watcher" 2>/dev/null || true
  if [ -t 1 ]; then printf '\r\033[K'; fi
}
trap stop_progress EXIT

if ! swift build -c release -Xswiftc -enable-testing "$@" >"$log" 2>&1; then
  stop_progress
  grep -E 'error:|fatal' "$log" | sort -u | head -n 40 >&2 || true
  tail -n 15 "$log" >&2
  echo "The build failed; $log has all of its output." >&2
  if grep -qE "could not build C module '(CZeroMQ|CPCRE2|COpenSSL|CZlib)'" "$log"; then
    echo "A library is missing: cluster/install.sh installs what the build needs." >&2
  fi
  exit 1
fi
stop_progress
echo "Built in $SECONDS s"
