# What the examples whose runs get a folder of their own have in common; sourced by their run.sh, from anywhere.
#
# usage: source own-folder.sh NAME [OUTPUT]     out is OUTPUT, or the first of runs/NAME, runs/NAME-2, … that is not there;
#                                               data a folder that goes with the script; the programs are on PATH
cd "$(dirname "${BASH_SOURCE[0]}")/.."
out=${2:-} number=1
while [ -z "$out" ] || { [ $# -eq 1 ] && [ -e "$out" ]; }; do
  out=$PWD/runs/$1
  [ "$number" -eq 1 ] || out+=-$number
  number=$((number + 1))
done
command -v nl-coord > /dev/null && command -v nl-tool > /dev/null || {
  cluster/install.sh
  cluster/build.sh
  PATH=$PWD/.build/release:$PATH
}
data=$(mktemp -d "${TMPDIR:-/tmp}/nl-$1-XXXXXX")
trap 'rm -rf "$data"' EXIT
