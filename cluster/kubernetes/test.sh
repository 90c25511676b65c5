#!/bin/bash
# Checks the manifests for Kubernetes, without a cluster: renders base, example and service with throw-away keys, validates every
# resource against the schemas of Kubernetes, holds all to the rules of policy.py and each rule to being able to fail.
# With --rehearse it also runs the rendered pods here, as far as that can be done without a cluster (rehearse.py).
#
# usage: cluster/kubernetes/test.sh [--rehearse] [--programs .build/release]
#
# What is missing is skipped and said: kustomize or kubectl (Debian: apt-get install kubernetes-client is too old; see
# https://kubernetes.io/docs/tasks/tools/), python3 with venv, PyPI, the programs of cluster/build.sh for the keys.
set -euo pipefail
cd "$(dirname "$0")/../.."

rehearse='' programs=$PWD/.build/release
while [ "$#" -gt 0 ]; do
  case $1 in
    --rehearse) rehearse=yes ;;
    --programs) programs=$2; shift ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done
# The oldest version with all that the manifests use, and the newest that the validator knows.
oldest=1.30
here=cluster/kubernetes
tools=.build/kubernetes-tools
folder=$(mktemp -d /tmp/nl-kubernetes-XXXXXX)
trap 'rm -rf "$folder"' EXIT
failed=''

skip() { printf 'skipped  %s\n' "$@"; }

expect() {
  local what=$1
  shift
  if "$@" >"$folder/out" 2>&1; then
    printf 'ok       %s\n' "$what"
  else
    printf 'FAILED   %s\n' "$what"
    sed 's/^/         /' "$folder/out"
    failed=yes
  fi
}

kustomize_build() {
  if command -v kustomize >/dev/null; then kustomize build "$1"; else kubectl kustomize "$1"; fi
}

# kubectl has kustomize of a version that knows labels since 1.21, Debian's 1.20 does not.
can_render() {
  mkdir -p "$folder/probe"
  printf 'labels: [{pairs: {a: b}, includeTemplates: true}]\n' >"$folder/probe/kustomization.yaml"
  kustomize_build "$folder/probe" >"$folder/out" 2>&1 || grep -q "kustomization.yaml is empty" "$folder/out"
}

# The keys are real ones if nl-tool is there, else of the same form: what is tested here does not depend on them.
make_keys() {
  local from=$programs
  [ -x "$from/nl-tool" ] || from=$folder/bin
  PATH=$from:$PATH "$here/keys.sh" "$@"
}

stand_in_for_tool() {
  mkdir -p "$folder/bin"
  cat >"$folder/bin/nl-tool" <<'END'
#!/bin/bash
[ "$*" != "keygen --help" ] || { echo "--output"; exit 0; }
text() { head -c 200 /dev/urandom | tr -dc 'a-zA-Z0-9' | head -c 40; }
printf '# A secret key\nnl-secret-key %s\n' "$(text)" >"$3"
printf '%s %s\n' "$(text)" "${3##*/}" >"$3.pub"
END
  chmod +x "$folder/bin/nl-tool"
}

command -v kustomize >/dev/null || command -v kubectl >/dev/null || {
  skip "everything: neither kustomize nor kubectl is on the PATH (https://kubernetes.io/docs/tasks/tools/)"
  exit 0
}
can_render || { skip "everything: this kustomize is too old ($(head -n 1 "$folder/out"))"; exit 0; }

if [ ! -x "$tools/bin/kubernetes-validate" ]; then
  mkdir -p .build
  { python3 -m venv "$tools" && "$tools/bin/pip" install kubernetes-validate pyyaml; } >.build/kubernetes-tools.log 2>&1 || {
    rm -rf "$tools"
    skip "schemas: kubernetes-validate cannot be installed from PyPI (.build/kubernetes-tools.log)"
  }
fi
python=python3
[ ! -x "$tools/bin/python" ] || python=$tools/bin/python

cp -r "$here" "$folder/kubernetes"
rm -rf "$folder"/kubernetes/overlays/*/secrets
stand_in_for_tool
base=$folder/base.yaml example=$folder/example.yaml service=$folder/service.yaml
overlay=$folder/kubernetes/overlays/example

missing_keys_are_named() { ! kustomize_build "$overlay" >"$folder/none.yaml" 2>"$folder/why" && grep -q "secrets/" "$folder/why"; }
secrets_are_mine_alone() { [ -z "$(find "$overlay/secrets" ! -name '*.pub' -perm /077)" ]; }
keys_stay() {
  local before
  before=$(sha256sum "$overlay/secrets/coordinator.key" "$overlay/secrets/metrics.token" && head -n 16 "$overlay/secrets/workers.env")
  make_keys "$overlay" --workers 24
  [ "$before" = "$(sha256sum "$overlay/secrets/coordinator.key" "$overlay/secrets/metrics.token" &&
    head -n 16 "$overlay/secrets/workers.env")" ] && [ "$(wc -l <"$overlay/secrets/workers.txt")" = 24 ]
}
renders() { kustomize_build "$1" >"$2"; }
not_in_git() { git check-ignore -q "$here/overlays/example/secrets/coordinator.key"; }

expect "without keys the example does not render, and says what is missing" missing_keys_are_named
expect "keys.sh makes the keys" make_keys "$overlay"
expect "no one else can read them" secrets_are_mine_alone
expect "run again, keys.sh adds keys and changes none" keys_stay
! git rev-parse >/dev/null 2>&1 || expect "git ignores them" not_in_git
expect "the base renders" renders "$folder/kubernetes/base" "$base"
expect "the example renders" renders "$overlay" "$example"
expect "keys.sh makes the service's" make_keys "$folder/kubernetes/overlays/service"
expect "the service renders" renders "$folder/kubernetes/overlays/service" "$service"

if [ -x "$tools/bin/kubernetes-validate" ]; then
  validate() { "$tools/bin/kubernetes-validate" --strict "$@" "$base" "$example" "$service" "$here/reader.yaml"; }
  newest=$("$tools/bin/python" -c 'import kubernetes_validate; print(kubernetes_validate.latest_version())')
  expect "every resource is one of Kubernetes $oldest" validate -k "$oldest"
  expect "every resource is one of Kubernetes $newest" validate
  misspelt() {
    sed 's/readOnlyRootFilesystem/readOnlyRootFileSystem/' "$example" >"$folder/misspelt.yaml"
    ! "$tools/bin/kubernetes-validate" --strict "$folder/misspelt.yaml"
  }
  expect "a misspelt field is found" misspelt
fi

if "$python" -c 'import yaml' 2>/dev/null; then
  expect "the base holds to the rules" "$python" "$here/policy.py" --base "$base"
  expect "the example holds to the rules" "$python" "$here/policy.py" "$example"
  expect "the service holds to the rules" "$python" "$here/policy.py" "$service"
  for one in "$example" "$service"; do
    expect "each rule can fail: $(basename "$one")" "$python" "$here/policy.py" --self-test "$one"
    sed 's/^/         /' "$folder/out"
  done
else
  skip "rules: python3 has no yaml (apt-get install python3-yaml)"
fi

if command -v promtool >/dev/null; then
  cp "$here/prometheus.yaml" "$folder/prometheus.yaml"
  # Debian's Prometheus is built without the discovery of pods.
  promtool check config --syntax-only "$folder/prometheus.yaml" >"$folder/out" 2>&1 || true
  if grep -q "kubernetes_sd_configs not found" "$folder/out"; then
    skip "Prometheus's discovery of pods: this promtool is built without it"
    sed -i '/kubernetes_sd_configs/,/names:/d' "$folder/prometheus.yaml"
  fi
  expect "Prometheus takes its job" promtool check config --syntax-only "$folder/prometheus.yaml"
else
  skip "Prometheus's job: promtool is missing (apt-get install prometheus)"
fi

if command -v shellcheck >/dev/null; then
  expect "shellcheck" shellcheck "$here"/*.sh
else
  skip "shellcheck (apt-get install shellcheck)"
fi

if [ -n "$rehearse" ]; then
  for one in example service; do
    "$python" "$here/rehearse.py" "$folder/kubernetes/overlays/$one" --programs "$programs" || failed=yes
  done
fi
[ -z "$failed" ]
