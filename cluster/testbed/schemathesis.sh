#!/bin/bash
# Requests that nobody would write, made by schemathesis (PyPI) from the OpenAPI file that `nl-coord serve` gives out:
# 10,000 or more, against a service with a finished run, a model and data. No answer is a 5xx or one that the file does
# not tell of (status, content type, form of the body), the service is up at the end, and its memory is what it was.
#
# usage: cluster/testbed/schemathesis.sh [--cases 250] [--seed N]
#   --cases N   requests of each route and of each of two passes: with names of schemathesis's, and with those of a run,
#               a file and a job that there are
# Some ten minutes. Where PyPI is not reached, there is no schemathesis, and that is said. The stream of events, which has
# no end, is left out: nginx.sh and the tests of WebService have it.
set -euo pipefail
cd "$(dirname "$0")/../.."
# shellcheck source=./checks.sh
source cluster/testbed/checks.sh

cases=250 seed=$RANDOM
while [ "$#" -gt 0 ]; do
  case $1 in
    --cases) cases=$2; shift ;;
    --seed) seed=$2; shift ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done
venv=$PWD/.build/schemathesis-venv
if [ ! -x "$venv/bin/st" ]; then
  if ! { python3 -m venv "$venv" && "$venv/bin/pip" -q install schemathesis; }; then
    echo "Skipped: schemathesis could not be installed from PyPI"
    exit 0
  fi
fi

folder=$(mktemp -d /tmp/nl-schemathesis-XXXXXX)
service=''
finish() {
  [ -z "$service" ] || kill "$service" 2>/dev/null || true
  wait
  if [ -n "$failed" ]; then echo "The answers are in $folder"; else rm -rf "$folder"; fi
}
trap finish EXIT
mkdir -p "$folder"/{models,data,runs}
cp -r Tests/LanguageModelTests/Fixtures/models/qwen2_f32 "$folder/models/small"
cp Tests/LanguageModelTests/Fixtures/data/train.jsonl "$folder/data/"
: >"$folder/service.log"
"${NL_BIN:-.build/release}/nl-coord" serve --listen-http 127.0.0.1:0 --models "$folder/models" --data "$folder/data" \
  --runs "$folder/runs" --upload-limit 10000000 >"$folder/service.log" 2>&1 &
service=$!
said() { sed -n 's|.*the page: \(http://[0-9.:]*\)/.*|\1|p' "$folder/service.log" | grep .; }
need "the service begins" until_true 30 said >"$folder/out"
url=$(said)
ask() { curl --silent --fail-with-body --max-time 30 "$url$1" "${@:2}"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# What is there to be found: a run that is over, and the same as a job and a file of /v1.
file=$(ask /v1/files --form purpose=fine-tune --form "file=@$folder/data/train.jsonl" | field id)
job=$(ask /v1/fine_tuning/jobs --json "{\"model\": \"small\", \"training_file\": \"$file\", \"suffix\": \"known\",
  \"nested_learning\": {\"num_steps\": 8, \"max_seq_length\": 32, \"checkpoint_every\": 4}}" | field id)
is_over() { [ "$(ask "/v1/fine_tuning/jobs/$job" | field status)" = succeeded ]; }
need "a run is over" until_true 60 is_over
cat >"$folder/known.toml" <<END
[parameters]
"path.name" = "known"
"path.checkpoint" = "final"
"path.file" = "adapters.safetensors"
"path.file_id" = "$file"
"path.fine_tuning_job_id" = "$job"
"path.model" = "small"
"query.experiment" = "known"
END
touch "$folder/other.toml"

# Kilobytes of memory that the service has in use, and how many requests it has answered.
resident() { awk '/^VmRSS/ { print $2 }' "/proc/$service/status"; }
checks=not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance
checks=$checks,response_schema_conformance
tried=0
pass() {
  local name=$1 status=0
  (cd "$folder" && "$venv/bin/st" --config-file "$folder/$name.toml" run "$url/nested-learning/openapi.json" \
    --url "$url" --max-examples "$cases" --seed "$seed" --workers 2 --checks "$checks" --continue-on-failure \
    --exclude-path /nested-learning/events --request-timeout 30 --suppress-health-check all --warnings off --no-color \
    "${@:2}" >"$folder/$name.log" 2>&1) || status=$?
  tried=$((tried + $(sed -n 's/.*[^0-9]\([0-9][0-9]*\) generated.*/\1/p' "$folder/$name.log" | tail -n 1)))
  [ "$status" = 0 ] || sed -n '/= FAILURES =/,$p' "$folder/$name.log" | head -n 150
  return "$status"
}
# Once, so that what a service makes at its first requests is not taken for a leak.
pass other --max-examples 5 --phases coverage >/dev/null || true
before=$(resident)
say "seed $seed; $((before / 1024)) MB in use before"
expect "names of schemathesis's" pass other
expect "names that there are" pass known --phases fuzzing --exclude-method DELETE --exclude-path-regex 'rename|logout'
after=$(resident)
expect "10,000 requests or more: $tried" [ "$tried" -ge 10000 ]
expect "the service is up" ask /healthz --output /dev/null
expect "it did not end in between" kill -0 "$service"
expect "its memory: $((before / 1024)) MB before, $((after / 1024)) MB after" [ "$after" -lt $((before + 50 * 1024)) ]
[ -z "$failed" ]
