#!/bin/bash
# Fuzzes the readers of what comes from outside, with libFuzzer and AddressSanitizer: builds Fuzz/, runs each target
# and prints executions, coverage, peak memory and what was found. The exit code is 0 only if nothing was.
#
# usage: cluster/testbed/fuzz.sh [TARGET ...] [--runs N | --minutes M]     (without TARGET: all; default: 1 minute each)
#
# Inputs grow in .build-fuzz/corpus/TARGET from run to run, beside those in Tests/FuzzTests/Corpus/TARGET. What is found
# lies in .build-fuzz/found; put it, small, into Tests/FuzzTests/Corpus/TARGET, where a test reads every file, and mend
# what it shows. An input must not take more than 20 s, nor any allocation more than 128 MiB, nor all 2 GiB.
set -euo pipefail
cd "$(dirname "$0")/../.."

build=.build-fuzz
fuzz=$build/release/Fuzz
limit=(-max_total_time=60)
targets=()
while [ $# -gt 0 ]; do
  case $1 in
    --runs) limit=("-runs=${2:?}"); shift 2 ;;
    --minutes) limit=("-max_total_time=$((${2:?} * 60))") && shift 2 ;;
    -*) sed -n '5p' "$0" >&2 && exit 2 ;;
    *) targets+=("$1") && shift ;;
  esac
done

mkdir -p $build
echo "Building the fuzzer (log: $build/build.log)"
if ! swift build --package-path Fuzz --scratch-path $build -c release >$build/build.log 2>&1; then
  grep -E 'error:' $build/build.log | sort -u | head -n 20 >&2 || true
  echo "The build failed; $build/build.log has all of its output." >&2
  exit 1
fi
[ ${#targets[@]} -gt 0 ] || mapfile -t targets < <($fuzz)

# Scratch files in memory, where there is such a place. Freed memory is kept back for a while only, so that the peak
# says something.
if [ -w /dev/shm ]; then export TMPDIR=/dev/shm; fi
export ASAN_OPTIONS=quarantine_size_mb=16:${ASAN_OPTIONS:-}

# The number behind a name in libFuzzer's final figures.
figure() { sed -n "s/^stat::$1: *//p" "$2" | tail -n 1; }

printf '%-20s %12s %9s %10s %9s  %s\n' target executions per_s coverage peak_MiB found
total=0
bad=0
for target in "${targets[@]}"; do
  corpus=$build/corpus/$target found=$build/found/$target log=$build/$target.log
  mkdir -p "$corpus" "$found"
  status=0
  $fuzz "$target" "$corpus" "Tests/FuzzTests/Corpus/$target" "${limit[@]}" -artifact_prefix="$found/" -timeout=20 \
    -rss_limit_mb=2048 -malloc_limit_mb=128 -max_len=8192 -print_final_stats=1 -verbosity=1 \
    >"$log" 2>&1 || status=$?
  runs=$(figure number_of_executed_units "$log")
  total=$((total + ${runs:-0}))
  coverage=$(grep -oE 'cov: [0-9]+' "$log" | tail -n 1 | cut -d' ' -f2 || true)
  what=nothing
  if [ $status != 0 ]; then
    bad=1
    what=$(grep -m1 -E 'FAULT|Fatal error|ERROR: |SUMMARY' "$log" || echo "exit code $status, $log")
  fi
  printf '%-20s %12s %9s %10s %9s  %s\n' "$target" "${runs:-?}" "$(figure average_exec_per_sec "$log")" \
    "${coverage:-?}" "$(figure peak_rss_mb "$log")" "$what"
done
echo "$total executions"
exit $bad
