#!/bin/bash
# Row 27 of the fault matrix: removes one safety check at a time, in a copy of the tree, and looks whether the tests
# notice. Prints a table; the exit code is 0 only if every removal was noticed.
#
# usage: cluster/testbed/mutations.sh [--list | --check | --quick | NAME ...]
#   --list    only prints the checks, and why each is there
#   --check   only looks whether each one's code is in its file exactly once; a list that is out of date is an error
#   --quick   removes only those that are marked `quick:`, which need a build of few modules, without optimisation: what
#             cluster/test.sh runs
#
# Without an argument all of them are removed, after the same look at the list.
#
# The checks are in cluster/testbed/mutations.txt, each with its code, what takes its place, why it is there and the
# tests that must fail. The copy, with builds of its own, is .build-mutations, or $NL_MUTATIONS_TREE; the first build
# takes some minutes, a mutation one or two.
set -euo pipefail
cd "$(dirname "$0")/../.."

list=cluster/testbed/mutations.txt
tree=${NL_MUTATIONS_TREE:-$PWD/.build-mutations}
log=$tree/.build/mutation.log
flags=(--ignore-lock -c release -Xswiftc -enable-testing)
# Tests that need no programs: checks that these notice are removed first, beside nothing but these.
fast=(WireProtocolTests CoordinationTests NestedLearningTests LedgerTests SimulationTests TransportTests)
# What ends a test that a mutation keeps waiting: seconds.
patience=300

# MARK: The list

names=() files=() reasons=() tests=() quicks=() olds=() news=()

# One entry: lines `name:`, `file:`, `why:`, `tests:` (a filter of swift test), then `- ` before the lines that go and
# `+ ` before those that come. `quick: yes` marks those of --quick, whose tests are all in WireProtocolTests and
# CoordinationTests. Empty lines and lines with # are passed over.
read_list() {
  local line n=-1
  while IFS= read -r line || [ -n "$line" ]; do
    case $line in
      'name: '*) n=$((n + 1)) names[n]=${line#name: } files[n]='' reasons[n]='' tests[n]='' quicks[n]='' olds[n]='' news[n]='' ;;
      'file: '*) files[n]=${line#file: } ;;
      'why: '*) reasons[n]=${line#why: } ;;
      'tests: '*) tests[n]=${line#tests: } ;;
      'quick: yes') quicks[n]=yes ;;
      '- '*) olds[n]+=${line#- }$'\n' ;;
      '+ '*) news[n]+=${line#+ }$'\n' ;;
      '' | '#'*) ;;
      *) echo "$list: a line that says nothing: $line" >&2 && exit 2 ;;
    esac
  done <"$list"
}

show_list() {
  local i
  for i in "${!names[@]}"; do printf '%-28s %s\n' "${names[i]}" "${reasons[i]}"; done
}

# Whether the file of an entry holds its code exactly once.
applies() {
  local old=${olds[$1]%$'\n'} content
  [ -n "$old" ] && [ -f "${files[$1]}" ] || return 1
  content=$(cat "${files[$1]}" && printf x)
  [[ $content == *"$old"* && ${content#*"$old"} != *"$old"* ]]
}

# Every entry must apply: a check that nobody removes any more is one that nobody tests.
check_list() {
  local i outdated=0 twice
  for i in "${!names[@]}"; do
    if applies "$i"; then continue; fi
    outdated=$((outdated + 1))
    echo "$list: ${names[i]}: ${files[i]} does not hold its code exactly once; mend the entry" >&2
  done
  twice=$(printf '%s\n' "${names[@]}" | sort | uniq -d | tr '\n' ' ')
  [ -z "$twice" ] || echo "$list: names that stand twice: $twice" >&2
  [ "$outdated" = 0 ] && [ -z "$twice" ]
}

is_fast() {
  local target
  for target in "${fast[@]}"; do [[ $1 != "$target"* ]] || return 0; done
  return 1
}

# MARK: The copy

# Copies what differs and removes what is gone, so that nothing else is built again.
copy_tree() {
  local file
  mkdir -p "$tree/.build"
  while IFS= read -r -d '' file; do
    [ -f "$file" ] || continue
    cmp -s "$file" "$tree/$file" && continue
    mkdir -p "$tree/$(dirname "$file")"
    cp "$file" "$tree/$file"
  done < <(git ls-files -z --cached --others --exclude-standard -- Package.swift Package.resolved Sources Tests examples)
  while IFS= read -r -d '' file; do
    [ -e "${file#"$tree"/}" ] || rm "$file"
  done < <(find "$tree/Sources" "$tree/Tests" -type f -print0)
  cp -n Package.resolved "$tree/" 2>/dev/null || true
}

# The manifest, and behind it what leaves only the tests that are to notice something, and what these need: no package
# is fetched for others.
cut_manifest() {
  local quoted
  quoted=$(printf '%s\n' "$@" | tr ' ' '\n' | sed 's/[./].*//' | sort -u | sed 's/.*/"&", /' | tr -d '\n')
  cat Package.swift - >"$tree/Package.swift" <<END

var kept = Set<String>(), packages = Set<String>()
@MainActor func keep(_ name: String) {
  guard kept.insert(name).inserted, let target = package.targets.first(where: { \$0.name == name }) else { return }
  for dependency in target.dependencies {
    switch dependency {
    case .targetItem(let name, _), .byNameItem(let name, _): keep(name)
    case .productItem(_, let package?, _, _): packages.insert(package)
    default: break
    }
  }
  for case .plugin(let name, _) in target.plugins ?? [] { keep(name) }
}
for name in [$quoted] { keep(name) }
package.targets.removeAll { !kept.contains(\$0.name) }
package.dependencies.removeAll {
  guard case .sourceControl(_, let location, _) = \$0.kind else { return false }
  return !packages.contains { location.hasSuffix("/" + \$0) }
}
package.products = []
END
}

# MARK: Building and testing

# The copy belongs to this script alone, whatever path it was built at.
build() {
  (cd "$tree" && swift build "${flags[@]}" --build-tests) >"$log" 2>&1
}

run_tests() {
  local filter filters=()
  for filter in $1; do filters+=(--filter "$filter"); done
  (cd "$tree" && timeout -k 10 $patience swift test "${flags[@]}" --skip-build "${filters[@]}") 2>&1 | cut -c 1-500 >"$log"
}

# The first test that failed, of the log.
noticed_by() {
  local name
  name=$(sed -n 's/^.*✘ Test \(.*\) recorded an issue.*/\1/p' "$log" | head -n 1)
  [ -n "$name" ] || name=$(sed -n 's/^.*✘ Test \(.*\) failed after.*/\1/p' "$log" | head -n 1)
  echo "${name:-the process ended, or $patience s went by}"
}

unnoticed=0

say() { printf '%-28s %-10s %5s s  %s\n' "$1" "$2" "$3" "$4"; }

mutate() {
  local i=$1 content old new started=$SECONDS file
  file=${files[i]}
  old=${olds[i]%$'\n'} new=${news[i]%$'\n'}
  content=$(cat "$file" && printf x)
  content=${content%x}
  printf '%s' "${content/"$old"/"$new"}" >"$tree/$file"
  if ! build; then
    say "${names[i]}" INVALID $((SECONDS - started)) "$(grep -m1 -E 'error:' "$log" || tail -n 1 "$log")"
    unnoticed=$((unnoticed + 1))
  elif run_tests "${tests[i]}"; then
    say "${names[i]}" UNNOTICED $((SECONDS - started)) "${reasons[i]}"
    unnoticed=$((unnoticed + 1))
  else
    say "${names[i]}" noticed $((SECONDS - started)) "$(noticed_by)"
  fi
  cp "$file" "$tree/$file"
}

# The tests must pass before anything is removed: else they would notice everything.
check_unchanged() {
  local filters
  filters=$(printf '%s\n' "$@" | tr ' ' '\n' | sort -u | tr '\n' ' ')
  if ! build; then
    grep -E 'error:' "$log" | sort -u | head -n 20 >&2 || tail -n 5 "$log" >&2
    echo "The copy does not build; $log has all of the output." >&2
    exit 1
  fi
  if ! run_tests "$filters"; then
    grep -E '✘' "$log" | head -n 20 >&2 || tail -n 5 "$log" >&2
    echo "The tests fail without any change; $log has all of the output." >&2
    exit 1
  fi
}

run_group() {
  local i filters=()
  [ $# -gt 0 ] || return 0
  for i in "$@"; do filters+=("${tests[i]}"); done
  cut_manifest "${filters[@]}"
  check_unchanged "${filters[@]}"
  for i in "$@"; do mutate "$i"; done
}

# MARK: All of it

read_list
case ${1:-} in
  --list) show_list && exit ;;
  --check)
    check_list || exit 1
    echo "${#names[@]} mutations apply"
    exit
    ;;
  --quick)
    set --
    # Their tests take seconds however they are compiled. A folder of its own, as other flags build everything again.
    flags+=(-Xswiftc -Onone --scratch-path .build-quick)
    for i in "${!names[@]}"; do [ -z "${quicks[i]}" ] || set -- "$@" "${names[i]}"; done
    ;;
esac
check_list || exit 1
wanted=" $* "
quick=() slow=()
for i in "${!names[@]}"; do
  [ $# = 0 ] || [[ $wanted == *" ${names[i]} "* ]] || continue
  if is_fast "${tests[i]}"; then quick+=("$i"); else slow+=("$i"); fi
done
chosen=$((${#quick[@]} + ${#slow[@]}))
[ $chosen -gt 0 ] || { echo "No such check; --list has their names." >&2 && exit 2; }

echo "Removing $chosen checks, one at a time (copy and log: $tree)"
copy_tree
run_group "${quick[@]}"
run_group "${slow[@]}"
echo "$((chosen - unnoticed)) of $chosen removals noticed, in $SECONDS s"
[ $unnoticed = 0 ]
