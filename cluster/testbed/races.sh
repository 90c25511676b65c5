#!/bin/bash
# Looks for data races: builds everything with ThreadSanitizer, in a folder of its own, and runs tests of threads,
# sockets and real processes with it. Prints every race that was reported; the exit code is 0 only if the tests passed
# and there was none.
#
# usage: cluster/testbed/races.sh [TESTS …]     (filters of swift test; default: transport and integration tests)
#
# The build lies in .build-races; the first one takes some ten minutes. Processes that the tests start write their
# reports too.
set -euo pipefail
cd "$(dirname "$0")/../.."

case ${1:-} in -*) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;; esac
build=${NL_RACES_BUILD:-.build-races}
[ $# -gt 0 ] || set -- TransportTests IntegrationTests
filters=()
for filter; do filters+=(--filter "$filter"); done
# They measure memory, of which the sanitizer takes more and more for itself.
filters+=(--skip MemoryTests)
options=(-c release --scratch-path "$build" --sanitize=thread -Xswiftc -enable-testing)

mkdir -p "$build"
echo "Building with ThreadSanitizer (log: $build/build.log)"
if ! swift build "${options[@]}" --build-tests >"$build/build.log" 2>&1; then
  grep -E 'error:' "$build/build.log" | sort -u | head -n 20 >&2 || tail -n 5 "$build/build.log" >&2
  exit 1
fi
reports=$(mktemp -d)
trap 'rm -rf "$reports"' EXIT
status=0
TSAN_OPTIONS="log_path=$reports/race:exitcode=0:history_size=5" \
  swift test "${options[@]}" --skip-build --no-parallel "${filters[@]}" >"$build/tests.log" 2>&1 || status=$?
tail -n 1 "$build/tests.log"
[ $status = 0 ] || grep -E '✘' "$build/tests.log" | cut -c 1-200 | head -n 20
cat "$reports"/race* >"$build/races.log" 2>/dev/null || true
races=$(grep -c 'WARNING: ThreadSanitizer' "$build/races.log" || true)
grep -h 'SUMMARY: ThreadSanitizer' "$build/races.log" | sort | uniq -c | sort -rn || true
echo "$races reports of races ($build/races.log) in $SECONDS s"
[ $status = 0 ] && [ "$races" = 0 ]
