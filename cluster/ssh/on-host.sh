#!/bin/bash
# What start.sh, join.sh and stop.sh do on a worker's machine: they send this script over ssh to `bash -s`, so that
# nothing of it need be installed there. FOLDER is relative to the home folder, or absolute.
#
# usage: on-host.sh COMMAND FOLDER [ARGUMENTS]
#   look FOLDER               prints the machine's architecture, then the SHA-256 of each program that is there
#   key FOLDER                checks that the programs can run, makes this worker's key if it has none, prints the
#                             public one
#   start FOLDER SESSION ADDRESS PORT THREADS GRACE KEY
#                             starts the session's worker unless it runs; ADDRESS is the coordinator's ("" = whence
#                             this ssh connection comes), KEY its public key, THREADS 0 = one a core
#   state FOLDER SESSION      says whether the session's worker runs
#   stop FOLDER SESSION GRACE ends it: SIGTERM, and SIGKILL when GRACE seconds and ten more are over
#   log FOLDER SESSION        prints its log
#   forget FOLDER SESSION     removes the session's folder
set -euo pipefail
# What is written here is nobody else's: a secret key, and programs that this user runs.
umask 077

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

[ "$#" -ge 2 ] || fail "on-host.sh wants a command and a folder; start.sh uses it"
command=$1 folder=$2
case $folder in /*) ;; *) folder=$HOME/$folder ;; esac
key=$folder/keys/worker
# A name from outside never leaves the folder of sessions.
if [ "$#" -ge 3 ]; then
  [[ $3 =~ ^[A-Za-z0-9][A-Za-z0-9._-]*$ ]] || fail "not the name of a session: $3"
  session=$folder/sessions/$3
fi

# When a process began, in ticks since the machine was started: with its number it names the process for good.
birth() { sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d ' ' -f 20; }

# Prints the number of the session's worker if it runs.
worker() {
  local pid born
  read -r pid born 2>/dev/null <"$session/pid" || return 1
  [ -n "$born" ] && [ "$(birth "$pid")" = "$born" ] || return 1
  echo "$pid"
}

check_programs() {
  local missing said
  missing=$(ldd "$folder/bin/nl-worker" "$folder/bin/nl-tool" | awk '/not found/ {print $1}' | sort -u | tr '\n' ' ')
  [ -z "$missing" ] || fail "libraries are missing here: $missing" \
    "on Debian and Ubuntu: sudo apt-get install libzmq5 libsqlite3-0 libpcre2-8-0 libssl3"
  said=$("$folder/bin/nl-worker" --help 2>&1) || fail "nl-worker cannot run here: $said"
}

start() {
  local address=$1 port=$2 threads=$3 grace=$4 coordinator=$5 pid flags=()
  if pid=$(worker); then
    echo "runs already, as process $pid"
    return
  fi
  [ -n "$address" ] || address=${SSH_CONNECTION%% *}
  # An IPv6 address stands in brackets.
  case $address in \[*) ;; *:*) address="[$address]" ;; esac
  [ "$threads" = 0 ] || flags=(--threads "$threads")
  mkdir -p "$session"
  printf '%s\n' "$coordinator" >"$session/coordinator.pub"
  # In a session of its own, with no end of the ssh connection open: it goes on when the connection is lost.
  NL_GRACE=$grace setsid nohup "$folder/bin/nl-worker" --connect "tcp://$address:$port" --key "$key" \
    --server-key "$session/coordinator.pub" ${flags[0]+"${flags[@]}"} </dev/null >>"$session/log" 2>&1 &
  pid=$!
  echo "$pid $(birth "$pid")" >"$session/pid"
  echo "started as process $pid, for tcp://$address:$port"
}

stop() {
  local pid deadline
  pid=$(worker) || return 0
  kill -TERM "$pid" 2>/dev/null || true
  deadline=$((SECONDS + $1 + 10))
  while worker >/dev/null; do
    if [ "$SECONDS" -ge "$deadline" ]; then
      kill -KILL "$pid" 2>/dev/null || true
      echo "process $pid did not end when it was asked to, and was killed"
      return
    fi
    sleep 0.1
  done
}

case $command in
  look)
    uname -m
    if [ -d "$folder/bin" ]; then cd "$folder/bin" && find . -maxdepth 1 -type f -exec sha256sum {} +; fi ;;
  key)
    check_programs
    mkdir -p "$folder/keys"
    [ -e "$key" ] || "$folder/bin/nl-tool" keygen --output "$key" >/dev/null
    cat "$key.pub" ;;
  start) start "${@:4}" ;;
  state) if pid=$(worker); then echo "runs, as process $pid"; else echo "does not run"; fi ;;
  stop) stop "$4" ;;
  log) if [ -f "$session/log" ]; then cat "$session/log"; fi ;;
  forget) rm -rf "$session" ;;
  *) fail "no such command: $command" ;;
esac
