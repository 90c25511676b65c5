#!/bin/bash
# Builds the example, and trains within its process on the model and the data of examples/quickstart. The first build takes
# some minutes; test.sh also holds what comes of it to nl-coord.
#
# usage: examples/library/run.sh [STEPS]
set -euo pipefail
cd "$(dirname "$0")/../.."
swift build --package-path examples/library -c release
program=$(swift build --package-path examples/library -c release --show-bin-path)/train-in-process
folder=$(mktemp -d "${TMPDIR:-/tmp}/nl-library-XXXXXX")
"$program" examples/quickstart "$folder" "${1:-40}"
echo "The adapter is in $folder"
