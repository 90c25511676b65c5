# shellcheck shell=bash
# What the tests that are shell scripts have in common; they read it with `source`. A script ends with
# `[ -z "$failed" ]`, and may define `before_giving_up` to show why it cannot go on.
failed=''

say() { printf '%s  %s\n' "$(date +%T)" "$*"; }

# One check: expect WHAT COMMAND…
expect() {
  local what=$1
  shift
  if "$@"; then say "ok      $what"; else say "FAILED  $what"; failed=yes; fi
}

# One check without which the rest makes no sense.
need() {
  expect "$@"
  [ -n "$failed" ] || return 0
  if declare -F before_giving_up >/dev/null; then before_giving_up; fi
  exit 1
}

# Waits until a command succeeds: until_true SECONDS COMMAND…
until_true() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# The SHA-256 of a run's adapter: hash FOLDER
hash() { sha256sum <"$1/checkpoints/final/adapters.safetensors" | cut -c 1-64; }
