#!/bin/sh
# Compiles the kernels for this machine and for AArch64, runs the same list of calls on every instruction set (the
# foreign one under qemu) and compares the bits. Exit codes: 0 equal, 1 different, 77 a tool is missing.
#
# With --tools it only looks for the tools.
#
# Debian and Ubuntu: apt-get install clang lld qemu-user-static libc6-dev-arm64-cross libgcc-12-dev-arm64-cross
# NL_AARCH64_SYSROOT names the folder into which the cross packages were unpacked, if they are not installed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
kernels=$here/../../Sources/Kernels
root=${NL_AARCH64_SYSROOT:-}
clang=${CLANG:-clang}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

skip() {
  echo "skipped: $1" >&2
  echo "needs: clang lld qemu-user-static libc6-dev-arm64-cross libgcc-12-dev-arm64-cross" >&2
  exit 77
}

command -v "$clang" >/dev/null || skip "$clang is not there"
"$clang" --version | grep -q -i clang || skip "$clang is not clang"
qemu=$(command -v qemu-aarch64-static || command -v qemu-aarch64) || skip "qemu-aarch64 is not there"
[ -f "$root/usr/aarch64-linux-gnu/include/stdio.h" ] || skip "AArch64 headers are not there"
gcc=$(ls -d "$root"/usr/lib/gcc-cross/aarch64-linux-gnu/[0-9]* 2>/dev/null | tail -n 1)
[ -n "$gcc" ] || skip "AArch64 libgcc is not there"
command -v ld.lld >/dev/null || [ -x "$(dirname "$(command -v "$clang")")/ld.lld" ] || skip "ld.lld is not there"
[ "${1:-}" != --tools ] || exit 0

build="-std=gnu17 -O2 -w -I$kernels/include -I$here"
"$clang" $build "$kernels"/*.c "$here/hashes.c" -o "$work/native" -lm -pthread

library=$root/usr/aarch64-linux-gnu/lib
"$clang" $build -target aarch64-linux-gnu -nostdinc -isystem "$("$clang" -print-resource-dir)/include" \
  -isystem "$root/usr/aarch64-linux-gnu/include" -fuse-ld=lld -static -nostdlib -nostartfiles \
  "$library/crt1.o" "$library/crti.o" "$gcc/crtbeginT.o" "$kernels"/*.c "$here/hashes.c" \
  -L"$library" -L"$gcc" -Wl,--start-group -lm -lc -lgcc -lgcc_eh -Wl,--end-group "$gcc/crtend.o" "$library/crtn.o" \
  -o "$work/foreign"

reference=
failed=0
# compare NAME COMMAND…: the lines of a run against those of the first one.
compare() {
  name=$1
  shift
  if ! "$@" >"$work/$name.txt" 2>"$work/$name.isa"; then
    cat "$work/$name.isa" >&2
    echo "$name: the run failed" >&2
    exit 1
  fi
  if [ -z "$reference" ]; then
    reference=$name
  elif ! diff "$work/$reference.txt" "$work/$name.txt" >"$work/diff"; then
    failed=1
    echo "$name ($(cat "$work/$name.isa")) differs from $reference:"
    sed -n 's/^> \([^ ]*\) .*/  \1/p' "$work/diff"
    return
  fi
  echo "$name ($(cat "$work/$name.isa")): $(wc -l <"$work/$name.txt") results, the bits of $reference"
}

for isa in avx512 avx512_bf16 avx2 baseline; do compare "native-$isa" env NL_ISA=$isa "$work/native"; done
compare native-flushed "$work/native" flushed
compare aarch64 "$qemu" "$work/foreign"
compare aarch64-flushed "$qemu" "$work/foreign" flushed
exit $failed
