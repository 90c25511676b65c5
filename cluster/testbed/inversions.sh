#!/bin/bash
# Turns every condition of RunCore round, one at a time, and looks whether a simulated run notices: the course of a run
# must have no branch that nothing depends on. All of them are compiled into one build, behind a number. Prints a table;
# the exit code is 0 only if every inversion was noticed.
#
# usage: cluster/testbed/inversions.sh [--list] [NUMBER ...]
#
# The copy, with a build of its own, is .build-inversions, or $NL_INVERSIONS_TREE; the first build takes some minutes,
# an inversion some seconds, or half a minute if it is not noticed. $NL_INVERSIONS_SEEDS are the ranges of seeds that
# are tried, "1..300 301..3000 3001..8000" by default.
set -euo pipefail
cd "$(dirname "$0")/../.."

tree=${NL_INVERSIONS_TREE:-$PWD/.build-inversions}
tool=$tree/.build/release/nl-tool
# Seeds that are tried at most, some at a time; and processor seconds that these may take, whatever else the machine does: a
# run that does not end is noticed, too.
read -r -a ranges <<<"${NL_INVERSIONS_SEEDS:-1..300 301..3000 3001..8000}"
patience=600

# What git has, and what it does not have yet, as it is in this folder.
copy_tree() {
  mkdir -p "$tree"
  git ls-files -z --cached --others --exclude-standard -- Package.swift Sources Tests/Harness |
    xargs -0 cp --parents --update --target-directory "$tree"
  # Of the tests nothing is built.
  python3 - "$tree/Package.swift" <<'END'
import re, sys
text = open(sys.argv[1]).read()
open(sys.argv[1], "w").write(re.sub(r"\n    \.testTarget\((?:[^()]|\([^()]*\))*\),", "", text))
END
}

invert() {
  rm -f "$tree"/Sources/Training/RunCore*.swift
  cp Sources/Training/RunCore*.swift "$tree/Sources/Training/"
  python3 cluster/testbed/invert.py "$tree"/Sources/Training/RunCore*.swift >"$tree/inversions.txt"
  cat >"$tree/Sources/Training/Inversion.swift" <<'END'
#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// A condition that can be turned round by its number.
enum Inversion {
  private static let number = getenv("NL_INVERT").flatMap { Int(String(cString: $0)) } ?? 0

  static func of(_ number: Int, _ condition: Bool) -> Bool { number == Self.number ? !condition : condition }
}
END
}

# What becomes of an inversion: the seeds in which it was noticed, or nothing.
notice() {
  local range status said
  for range in "${ranges[@]}"; do
    status=0
    said=$(
      ulimit -t $patience
      NL_INVERT=$1 timeout $((20 * patience)) "$tool" simulate --seeds "$range" --threads 2 2>&1
    ) || status=$?
    case $status in
      0) ;;
      # SIGXCPU, or SIGKILL soon after it.
      124 | 137 | 152) echo "no end within $patience s" && return ;;
      *) grep -m 1 -oE '^FAILED: seed [0-9]+' <<<"$said" || echo "exit code $status"
         return ;;
    esac
  done
}

copy_tree
invert
if [ "${1:-}" = --list ]; then
  cat "$tree/inversions.txt"
  exit
fi
echo "Building (log: $tree/build.log)"
swift build --package-path "$tree" -c release --product nl-tool >"$tree/build.log" 2>&1 || {
  grep -E 'error:' "$tree/build.log" | sort -u | head -n 20
  exit 1
}
NL_INVERT=0 "$tool" simulate --seeds 1..300 --threads 2 >"$tree/plain.log" 2>&1 || {
  echo "without an inversion, too, a run fails:" && tail -n 3 "$tree/plain.log"
  exit 1
}
missed=0
while read -r number place condition; do
  [ $# = 0 ] || [[ " $* " == *" $number "* ]] || continue
  seen=$(notice "$number")
  [ -n "$seen" ] || missed=$((missed + 1))
  printf '%-3s %-32s %-60.60s %s\n' "$number" "$place" "$condition" "${seen:-NOT NOTICED}"
done <"$tree/inversions.txt"
echo "$missed not noticed"
[ "$missed" = 0 ]
