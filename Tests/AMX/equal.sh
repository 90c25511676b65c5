#!/bin/sh
# Compiles the kernels as they are, and once more with the instructions of AMX replaced by software (soft_tiles.h), runs
# the same list of calls (../AArch64/hashes.c) with and without tiles and compares the bits. So the code for AMX is held
# to the others' bits on machines that have no AMX. Exit codes: 0 equal, 1 different, 77 clang or AVX512_BF16 is missing.
#
# With --tools it only looks for these.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kernels=$here/../../Sources/Kernels
clang=${CLANG:-clang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
  echo "skipped: $1" >&2
  exit 77
}
command -v "$clang" >/dev/null || skip "$clang is not there"
"$clang" --version | grep -q -i clang || skip "$clang is not clang"
grep -q -w avx512_bf16 /proc/cpuinfo 2>/dev/null || skip "this CPU has no AVX512_BF16"
[ "${1:-}" != --tools ] || exit 0

build="-std=gnu17 -O2 -w -I$kernels/include -I$here"
"$clang" $build "$kernels"/*.c "$here/../AArch64/hashes.c" -o "$work/plain" -lm -pthread
"$clang" $build -include "$here/soft_tiles.h" "$kernels"/*.c "$here/soft_tiles.c" "$here/../AArch64/hashes.c" \
  -o "$work/soft" -lm -pthread

failed=0
# compare ISA PROGRAM: the lines of a run in this instruction set against those of AVX2.
compare() {
  NL_ISA=$1 "$2" >"$work/$1.txt" 2>"$work/$1.isa"
  if [ "$(cat "$work/$1.isa")" != "$1" ]; then
    echo "$1: the run was in $(cat "$work/$1.isa")" >&2
    exit 1
  fi
  if diff "$work/avx2.txt" "$work/$1.txt" >"$work/diff"; then
    echo "$1: $(wc -l <"$work/$1.txt") results, the bits of avx2"
  else
    failed=1
    echo "$1 differs from avx2:"
    sed -n 's/^> \([^ ]*\) .*/  \1/p' "$work/diff"
  fi
}
NL_ISA=avx2 "$work/plain" >"$work/avx2.txt" 2>/dev/null
compare avx512_bf16 "$work/plain"
compare amx "$work/soft"
exit $failed
