#!/bin/bash
# A whole fine-tuning by `nl-coord serve` with the official `openai` client, unchanged but for its base_url:
# openai_client.py, which see. Where PyPI is not reached, there is no client, and that is said.
#
# usage: cluster/testbed/openai.sh
set -euo pipefail
cd "$(dirname "$0")/../.."

venv=$PWD/.build/openai-venv
if ! "$venv/bin/python" -c 'import openai' 2>/dev/null; then
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" -q install openai; }; then
    echo "openai could not be installed from PyPI: its client is not tried"
    exit 0
  fi
fi
"$venv/bin/python" cluster/testbed/openai_client.py \
  .build/release/nl-coord Tests/LanguageModelTests/Fixtures/models/qwen2_f32 Tests/LanguageModelTests/Fixtures/data
