#!/bin/bash
# What many who look on cost the service: 200 requests a second and 50 streams of events at `nl-coord serve`, while a run
# is at work. Printed are its own CPU time beside that of the same run with nobody looking, and how long answers take:
# load.py, which see. No test: other programs on the machine raise the numbers.
#
# usage: cluster/testbed/load.sh [SECONDS]     (60 for each of the three measurements)
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 cluster/testbed/load.py "${NL_BIN:-.build/release}" Tests/LanguageModelTests/Fixtures "${1:-60}"
