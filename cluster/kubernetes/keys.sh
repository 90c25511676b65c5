#!/bin/bash
# Makes the keys of a run on Kubernetes, and the tokens that Prometheus and users show, in the folder secrets of an overlay, from
# where kustomize takes them. What is there already is kept, so that it can be run again for more workers' keys.
#
# usage: cluster/kubernetes/keys.sh OVERLAY [--workers 16]
#   OVERLAY     e.g. cluster/kubernetes/overlays/example
#   --workers   how many keys the pool has from which each worker draws one: at least two, better twice as many as there
#               will be workers
#
# coordinator.key, coordinator.key.pub   the coordinator's
# workers.env                            the workers' secret keys, worker-01=KEY a line
# workers.txt                            the workers' public keys: the list of those who are let in
# metrics.token                          what Prometheus has to show for /metrics
# page.token                             what whoever uses the service's page has to show (overlays/service)
#
# It needs nl-tool on the PATH.
set -euo pipefail

usage() {
  sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2
  exit 2
}

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

overlay='' count=16
while [ "$#" -gt 0 ]; do
  case $1 in
    --workers) count=${2:-}; shift ;;
    -*) usage ;;
    *) [ -z "$overlay" ] || usage; overlay=$1 ;;
  esac
  [ "$#" -eq 0 ] || shift
done
[[ -n $overlay && $count =~ ^[0-9]+$ ]] || usage
[ "$count" -ge 2 ] || fail "--workers must be 2 at least: results are compared between different keys"
[ -f "$overlay/kustomization.yaml" ] || fail "$overlay is not an overlay: it has no kustomization.yaml"
command -v nl-tool >/dev/null || fail "nl-tool is not on the PATH: cluster/build.sh makes it in .build/release" \
  "PATH=\$PWD/.build/release:\$PATH"

umask 077
secrets=$overlay/secrets
mkdir -p "$secrets"
made=$(mktemp -d "$secrets/.new-XXXXXX")
trap 'rm -rf "$made"' EXIT

if [ ! -e "$secrets/coordinator.key" ]; then
  nl-tool keygen --output "$secrets/coordinator.key" >/dev/null
fi
for token in metrics page; do
  [ ! -e "$secrets/$token.token" ] || continue
  od -An -tx1 -N32 /dev/urandom | tr -d ' \n' >"$made/$token.token"
  mv "$made/$token.token" "$secrets/$token.token"
done
touch "$secrets/workers.env" "$secrets/workers.txt"
for number in $(seq "$count"); do
  name=$(printf 'worker-%02d' "$number")
  ! grep -q "^$name=" "$secrets/workers.env" || continue
  nl-tool keygen --output "$made/$name" >/dev/null
  # The secret one last: what has no line there is made anew.
  cat "$made/$name.pub" >>"$secrets/workers.txt"
  printf '%s=%s\n' "$name" "$(grep '^nl-secret-key ' "$made/$name")" >>"$secrets/workers.env"
done
echo "$secrets: the coordinator's key, $(grep -c . "$secrets/workers.env") workers' keys, the tokens for /metrics and the page"
