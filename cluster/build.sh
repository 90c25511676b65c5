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

echo "Building in release mode; the first time takes some minutes (log: .build/build.log)"
SECONDS=0
if ! swift build -c release -Xswiftc -enable-testing "$@" >.build/build.log 2>&1; then
  grep -E 'error:|fatal' .build/build.log | sort -u | head -n 40 >&2 || true
  tail -n 15 .build/build.log >&2
  echo "The build failed; .build/build.log has all of its output." >&2
  if grep -qE "could not build C module '(CZeroMQ|CPCRE2|COpenSSL|CZlib)'" .build/build.log; then
    echo "A library is missing: cluster/install.sh installs what the build needs." >&2
  fi
  exit 1
fi
echo "Built in $SECONDS s"
