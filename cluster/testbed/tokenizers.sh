#!/bin/bash
# Random tokenizers and strings in nl-tool and in the PyPI package tokenizers. Prints those that differ, and counts; the exit
# code is 0 only if nothing differs.
#
# usage: cluster/testbed/tokenizers.sh [--files N] [--strings N] [--first SEED]     (default: 2000 files, 100 strings each)
#
# Needs PyPI, and nl-tool in .build/release. NL_PYTHON: a Python that has tokenizers already.
set -euo pipefail
cd "$(dirname "$0")/../.."

source cluster/testbed/python.sh
need_python /tmp/nl-tokenizers tokenizers==0.23.3

# Where the package panics it says so at length; the count says how often.
exec "$python" cluster/testbed/tokenizers_compare.py --nl .build/release/nl-tool "$@" 2> /dev/null
