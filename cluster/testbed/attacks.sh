#!/bin/bash
# Attacks on `nl-coord serve` while a run is at work: paths that lead out of its folders in every field that takes one,
# requests from other sites' pages and under other names, connections that say nothing, files that are too large, guessed
# tokens. Each is refused, memory stays flat, and the run comes to the bits that it has alone: attacks.py, which see.
#
# usage: cluster/testbed/attacks.sh
# Two to five minutes, and a gigabyte of disk for a while.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 cluster/testbed/attacks.py "${NL_BIN:-.build/release}" Tests/LanguageModelTests/Fixtures
