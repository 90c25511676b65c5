#!/bin/bash
# Runs a folder of cases from public bug reports, each of which has a run.sh that asks for the programs in NL_BIN and holds
# what is right beside it, and says of each whether that came out. The exit code is 0 only if all did.
#
# usage: cluster/testbed/cases.sh FOLDER
#
# The programs are those of .build/release, or of NL_BIN. The folder is copied first, so that nothing is written into it.
# What continuous integration runs are small copies of these kinds: CasesTests, made by make_cases.py.
set -euo pipefail
cases=$(cd "${1:?usage: cluster/testbed/cases.sh FOLDER}" && pwd)
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -r "$cases" "$work/cases" && chmod -R u+w "$work/cases"
# On a busy machine a run may not have begun after a fixed time.
sed -i 's|sleep 0\.6|until [ -s out/a/metrics/train_metrics.jsonl ]; do sleep 0.1; done|' "$work"/cases/*/run.sh
mkdir "$work/bin"
ln -s "${NL_BIN:-$PWD/.build/release}"/nl-* "$work/bin/"
ln -s "$work/bin/nl-tool" "$work/bin/nl"
export NL_BIN=$work/bin PATH=$work/bin:$PATH

failed=0
# report NAME KIND OUTPUT PATTERN...: every pattern must be found in what the case printed.
report() {
  local name=$1 kind=$2 output=$3 verdict=ok pattern
  shift 3
  for pattern in "$@"; do grep -qE -- "$pattern" <<< "$output" || verdict="NO: $pattern"; done
  printf '%-34s %-46s %s\n' "$name" "$kind" "$verdict"
  if [ "$verdict" != ok ]; then
    failed=$((failed + 1))
    sed 's/^/    /' <<< "$output" | tail -12
  fi
}
# try NAME KIND PATTERN...
try() {
  local name=$1 kind=$2
  shift 2
  report "$name" "$kind" "$(bash "$work/cases/$name/run.sh" 2>&1 || true)" "$@"
}

try rope-both-yarn "1 a setting with two homes" 'max.diff. .*SAME'
try rope-both-linear "1 a setting with two homes" 'max.diff. .*SAME'
try tok-additional-special "2 ids out of several files" 'SAME AS transformers'
try tok-additional-special-train "2 ids out of several files" '"loss": ?6\.627' '"tokens": ?14\b'
try tok-added-tokens-decoder-llama "2 ids out of several files" 'SAME AS transformers'
try tok-special-map-eos "2, 3 what ends a text" 'SAME AS transformers'
try gen-eos "3 what ends a text" '^And God said, Let there be light\.$' 'exit 0'
try truncation "4 rows that are too long" 'are longer than 16 tokens \(max_seq_length\): cut'
try tie-true-different-head "5 config and checkpoint contradict" 'lm_head\.weight' 'max.diff. .*SAME'
try cfg-fewer-layers "5 config and checkpoint contradict" 'left out: model\.layers\.' 'max.diff. .*SAME'
try peft-regex-irregular "6 an adapter is a set of modules" 'max.diff. .*SAME'
try peft-exclude "6 an adapter is a set of modules" 'max.diff. .*SAME'
try peft-unmatched-name "6 an adapter is a set of modules" 'max.diff. .*SAME'
try peft-default-infix "6 an adapter is a set of modules" 'max.diff. .*SAME'
try mlx-no-keys-qv "6 an adapter is a set of modules" 'max.diff. .*SAME'
try tok-sentencepiece "7 the tokenizer decides" '^\[[0-9, ]+\]$' 'exit 0'
try tok-added-not-resized "8 messages with cause and remedy" '<\|tool\|>' 'exit [1-9]'
try resume-moved "8 messages with cause and remedy" 'it is recognised by its SHA-256' '^Step 300/300' '^Done: '
report data/array.json "8 files as people have them" \
  "$(nl-tool data inspect "$work/cases/data/array.json" --model "$work/cases/gen-eos/model" 2>&1)" '2 text'
report data/bom.yaml "8 files as people have them" \
  "$(cd "$work/cases/data" && nl-coord train --config bom.yaml --output-path "$work/out" --experiment-name bom --validate-only 2>&1)" \
  '^Steps +5 of 2 micro-batches'
report "paths of one component" "9 paths from outside" \
  "$(cd "$work" && nl-tool logits --model cases/rope-both-yarn/model --text a --output l 2>&1; echo "exit $?")" '^l: logits' 'exit 0'

[ $failed = 0 ] && echo "all as they must be" || { echo "$failed are not as they must be"; exit 1; }
