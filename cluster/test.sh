#!/bin/bash
# Installs what is missing, builds everything once, and runs every check of the project. The exit code is 0 only if
# all of them pass; a check that fails does not keep the others from running.
#
# usage: cluster/test.sh [--aarch64] [ARGUMENTS OF swift test, e.g. --filter LedgerTests]
#   --aarch64   also install the tools for the tests that run the kernels for AArch64 under qemu; without the tools
#               these tests are skipped
set -euo pipefail
cd "$(dirname "$0")/.."

if [ "${1:-}" = --aarch64 ]; then
  shift
  cluster/install.sh --aarch64 --testbed
else
  cluster/install.sh --testbed
fi
cluster/build.sh --build-tests
echo "Installed and built, in $SECONDS s"

failed=()

check() {
  local name=$1 started=$SECONDS
  shift
  echo "== $name"
  if "$@"; then
    echo "== $name: passed, in $((SECONDS - started)) s"
  else
    failed+=("$name")
    echo "== $name: FAILED, after $((SECONDS - started)) s"
  fi
}

# Of our own sources; the packages that we use are not ours to mend.
no_warnings() { ! grep -E "^$PWD/(Sources|Tests)/.*: warning: " .build/build.log; }

# What the tests print goes to .build/tests.log, too, of which the failures are shown again at the end.
tests() { swift test -c release -Xswiftc -enable-testing --skip-build "$@" 2>&1 | tee .build/tests.log; }

failures() {
  [[ " ${failed[*]} " != *" tests "* ]] || grep -E '^(✘|↳|error:)|Fatal error' .build/tests.log | cut -c 1-1000 | head -n 100
}

# The measurement of examples/forgetting, in small: on the shipped base, with the table that comes of it.
forgetting() {
  local scratch status=0
  scratch=$(mktemp -d)
  PATH=$PWD/.build/release:$PATH examples/forgetting/measure.sh --model examples/quickstart/base --steps 20 --every 20 \
    --arms "plain best" --output "$scratch" > "$scratch/log" 2>&1 &&
    grep -q '^| best-1 | 20 |' "$scratch/forgetting.md" || status=1
  [ "$status" = 0 ] || cat "$scratch/log"
  rm -rf "$scratch"
  return "$status"
}

# The examples that end by themselves within a minute, in small.
examples() {
  local log status=0
  log=$(mktemp)
  PATH=$PWD/.build/release:$PATH examples/curriculum/run.sh --num-steps 12 > "$log" 2>&1 &&
    grep -q '^| stages  *|' "$log" &&
    PATH=$PWD/.build/release:$PATH examples/sampling/run.sh --num-steps 8 > "$log" 2>&1 &&
    grep -q '^| length  *|' "$log" &&
    PATH=$PWD/.build/release:$PATH examples/adaptation/run.sh > "$log" 2>&1 &&
    grep -q 'from step 40 to step 60' "$log" &&
    PATH=$PWD/.build/release:$PATH examples/multi-task/run.sh > "$log" 2>&1 &&
    PATH=$PWD/.build/release:$PATH examples/adversarial/run.sh > "$log" 2>&1 || status=1
  [ "$status" = 0 ] || cat "$log"
  rm -f "$log"
  return "$status"
}

check "no warnings" no_warnings
check "format" swift format lint --strict --parallel --recursive Package.swift Sources Tests Fuzz
check "mutations apply" cluster/testbed/mutations.sh --check
if [ "$#" -gt 0 ]; then
  check "tests" tests "$@"
else
  # The fault matrix measures times, so that it runs by itself.
  check "tests" tests --skip FaultMatrixTests
  check "fault matrix" cluster/testbed/run.sh --quick --processes --no-build
  check "page" cluster/testbed/browser.sh
  check "openai client" cluster/testbed/openai.sh
  check "recorded digests" cluster/testbed/digests.sh
  check "forgetting, in small" forgetting
  check "examples, in small" examples
  check "quick mutations" cluster/testbed/mutations.sh --quick
fi

if [ "${#failed[@]}" -gt 0 ]; then
  failures || true
  printf 'Failed: %s\n' "${failed[@]}"
  exit 1
fi
echo "All checks passed"
