#!/bin/bash
# The page of `nl-coord serve` in a real Chromium: Tests/Browser/check_page.py, which see. Without Chromium, or where PyPI
# is not reached, there is nothing to look with, and that is said.
#
# usage: cluster/testbed/browser.sh [SCREENSHOTS]
set -euo pipefail
cd "$(dirname "$0")/../.."

shots=${1:-$PWD/.build/screenshots}
if ! command -v chromium >/dev/null && ! command -v chromium-browser >/dev/null; then
  echo "no Chromium here: the page is not looked at (apt-get install chromium)"
  exit 0
fi
venv=$PWD/.build/browser-venv
if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -c 'import playwright, axe_playwright_python' 2>/dev/null; then
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" -q install 'playwright==1.65.*' 'axe-playwright-python==0.1.*'; }; then
    echo "playwright could not be installed from PyPI: the page is not looked at"
    exit 0
  fi
fi
"$venv/bin/python" Tests/Browser/check_page.py \
  .build/release/nl-coord Tests/LanguageModelTests/Fixtures/models/llama Tests/LanguageModelTests/Fixtures/data "$shots"
