#!/bin/bash
# Runs rows of the fault matrix with real processes and prints what was found: how often the fault was made, the
# longest time to recover, whether adapter and optimizer state came out the same as without faults, and the verdict.
#
# usage: cluster/testbed/run.sh [--list] [--quick] [--processes] [--json] [--no-build] [ROW…]
#   ROW         a number of the matrix, as 1 or 19; all rows if none is given
#   --quick     of each row what fits into some minutes in all; without it, all places and counts
#   --processes only the tests with real processes, Tests/FaultMatrixTests; cluster/test.sh runs the others anyway
#   --list      says what the rows are, and runs nothing
#   --json      one JSON object for each test instead of the table
#   --no-build  takes the programs and tests as they were last built
#
# NL_MATRIX_SEED=N repeats the random choices of a run that printed it. Everything that the tests said is in
# .build/testbed/tests.log. The exit code is 0 if every row that ran has passed.
set -euo pipefail
cd "$(dirname "$0")/../.."

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' cluster/testbed/run.sh >&2
  exit 2
}

matrix=full build=yes format=table only=() rows=()
for argument in "$@"; do
  case $argument in
    --list) exec cluster/testbed/table.py --list ;;
    --quick) matrix=quick ;;
    --processes) only=(--processes) ;;
    --json) format=json ;;
    --no-build) build= ;;
    [1-9] | [1-9][0-9]) rows+=("$argument") ;;
    *) usage ;;
  esac
done

say() { echo "$@" >&2; }

[ -z "$build" ] || cluster/build.sh --build-tests >&2
cluster/testbed/network.sh check 2>/dev/null || say "Skipping the rows between hosts: $(cluster/testbed/network.sh check 2>&1)"

out=.build/testbed
mkdir -p $out
rm -f $out/report.jsonl $out/tests*.xml
# One after the other: the rows measure times.
status=0
pattern=$(cluster/testbed/table.py "${only[@]}" --pattern "${rows[@]}")
say "Running ${rows[*]:-all rows} ($matrix); what the tests say goes to $out/tests.log"
NL_MATRIX=$matrix NL_MATRIX_REPORT=$PWD/$out/report.jsonl swift test -c release -Xswiftc -enable-testing --skip-build \
  --no-parallel --filter "$pattern" --xunit-output $out/tests.xml >$out/tests.log 2>&1 || status=$?
cluster/testbed/table.py --format $format $out || status=1
[ $status = 0 ] || say "Not all rows have passed; see $out/tests.log"
exit $status
