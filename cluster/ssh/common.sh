#!/bin/bash
# What start.sh, join.sh and stop.sh share; they read it with `source`. The session of a run is a folder on this
# machine, with everything that is needed to stop the run or to add hosts to it:
#   hosts             its hosts: name, address for ssh, port of sshd, threads
#   settings          how it was started, as bash reads it
#   allowed           the workers' public keys: the coordinator's allow-list
#   coordinator.log   what the coordinator said
#   pid               the coordinator's process, while there is one
#   workers/NAME.log  what the worker on a host said; gathered when the run ends
#   workers/NAME.ssh.log, workers/NAME.pub   what was done there over ssh, and the worker's public key

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# Where things are kept, there and here, below the home folder.
folder=.local/share/nested-learning
# Hosts that are dealt with at a time.
most_at_once=16
# By start.sh, which writes those of a session down: the folder of the programs here; the session's name on the hosts;
# this machine's name; where workers find the coordinator ("" = whence ssh comes); what a worker may take to finish;
# ssh's own config file.
# shellcheck disable=SC2034
bin='' session='' host='' address='' port=5555 grace=30 coordinator_key='' ssh_config=''

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# Where nobody reads any more, as in a terminal that was closed, what is being done goes on.
say() { printf '%s  %s\n' "$(date +%T)" "$*" 2>/dev/null || true; }

# The header of a script, without its marks.
usage() { sed -n '2,/^set /{/^# Functions\|^# shellcheck/d;/^#/s/^# \{0,1\}//p}' "$1"; }

# Reads lines [user@]host[:port] [threads=N] into names, addresses, ports and threads.
read_hosts() {
  local file=$1 line number=0 words name
  local form='^(([A-Za-z0-9_.][A-Za-z0-9_.-]*)@)?(\[([0-9A-Fa-f:.%a-z]+)\]|([A-Za-z0-9_.][A-Za-z0-9_.-]*))(:([0-9]+))?$'
  names=() addresses=() ports=() threads=()
  [ -r "$file" ] || fail "$file cannot be read; a hosts file has a line [user@]host[:port] [threads=N] a host"
  while IFS= read -r line || [ -n "$line" ]; do
    number=$((number + 1))
    read -r -a words <<<"${line%%#*}"
    [ "${#words[@]}" -gt 0 ] || continue
    [[ ${words[0]} =~ $form ]] || fail "$file:$number: not [user@]host[:port]: ${words[0]}"
    name=${BASH_REMATCH[4]:-${BASH_REMATCH[5]}}
    addresses+=("${BASH_REMATCH[1]}$name")
    ports+=("${BASH_REMATCH[7]:--}")
    name=${name//[:%]/_}${BASH_REMATCH[7]:+_${BASH_REMATCH[7]}}
    case " ${names[*]-} " in *" $name "*) fail "$file:$number: $name is there already; use threads=N" ;; esac
    names+=("$name")
    case ${words[1]:-threads=0} in
      threads=*[!0-9]* | threads=) fail "$file:$number: not threads=N: ${words[1]}" ;;
      threads=*) threads+=("${words[1]-threads=0}") ;;
      *) fail "$file:$number: not threads=N: ${words[1]}" ;;
    esac
    threads[-1]=${threads[-1]#threads=}
    [ "${#words[@]}" -le 2 ] || fail "$file:$number: more than a host and threads=N: ${words[*]:2}"
  done <"$file"
  [ "${#names[@]}" -gt 0 ] || fail "$file names no host"
}

# Runs a command of a shell on host I. No password is ever asked for, and a host that is silent is given up.
remote() {
  local i=$1 options=(-o BatchMode=yes -o ConnectTimeout=10 -o ServerAliveInterval=5 -o ServerAliveCountMax=4)
  shift
  [ -z "$ssh_config" ] || options+=(-F "$ssh_config")
  [ "${ports[i]}" = - ] || options+=(-p "${ports[i]}")
  ssh "${options[@]}" -- "${addresses[i]}" "$@"
}

# Runs a command of on-host.sh on host I: on_host I COMMAND ARGUMENTS…
on_host() {
  local i=$1 command=$2
  shift 2
  # ssh joins words with blanks, for the shell there to take apart.
  remote "$i" "bash -s -- $(printf '%q ' "$command" "$folder" "$@")" <"$here/on-host.sh"
}

# Calls FUNCTION I for every host, many at a time, with its output in NAME.ssh.log. Those for which it fails are in
# `failed` then, and their last words are shown.
on_every_host() {
  local function=$1 i results
  results=$(mktemp -d)
  # In a shell of its own: it waits for these alone, and not for the coordinator.
  (
    for i in "${!names[@]}"; do
      while [ "$(jobs -rp | wc -l)" -ge "$most_at_once" ]; do wait -n || true; done
      { "$function" "$i" >>"$logs/workers/${names[i]}.ssh.log" 2>&1 && : >"$results/$i"; } &
    done
    wait
  )
  failed=()
  for i in "${!names[@]}"; do
    [ -e "$results/$i" ] && continue
    failed+=("$i")
    say "${names[i]}: failed" >&2
    tail -n 3 "$logs/workers/${names[i]}.ssh.log" | sed 's/^/          /' >&2 || true
  done
  rm -rf "$results"
}

# The files that a worker's machine needs: programs, and what they load that no distribution has, which is Swift's
# own. They lie in one folder there, where the programs look for them.
files_to_send() {
  local library
  printf '%s\n' "$bin/nl-worker" "$bin/nl-tool"
  ldd "$bin/nl-worker" "$bin/nl-tool" | awk '$3 ~ /^\// {print $3}' | sort -u | while read -r library; do
    case $library in
      /usr/lib/swift/* | /usr/libexec/swift/*) echo "$library" ;;
      /lib/* | /lib64/* | /usr/lib/* | /usr/lib64/*) ;;
      *) echo "$library" ;;
    esac
  done
}

# Sends to host I what it lacks or has otherwise, told by SHA-256, then asks for its public key.
prepare_host() {
  local i=$1 there file name public wanted=()
  there=$(on_host "$i" look) || return 1
  [ "${there%%$'\n'*}" = "$(uname -m)" ] || {
    echo "it is ${there%%$'\n'*}, and the programs here are for $(uname -m): build them there"
    return 1
  }
  while read -r file; do
    name=${file##*/}
    grep -qxF "$(sha256sum <"$file" | cut -c 1-64)  ./$name" <<<"$there" || wanted+=("$file")
  done < <(files_to_send)
  if [ "${#wanted[@]}" -gt 0 ]; then
    echo "sending ${wanted[*]##*/}"
    # Renamed into place one by one, since a program of another run may be at work.
    tar --create --dereference --transform 's|.*/||' --absolute-names "${wanted[@]}" | remote "$i" \
      "set -e; mkdir -p $folder/bin; new=\$(mktemp -d $folder/bin/new.XXXXXX); tar -x -C \"\$new\"
      mv -f \"\$new\"/* $folder/bin; rmdir \"\$new\"" || return 1
  fi
  public=$(on_host "$i" key) || return 1
  # A login that greets on standard output would end up in the allow-list.
  [[ $public =~ ^[^[:space:]]{40}\ [^[:space:]]+$ ]] || {
    echo "its public key could not be read; does its shell print something at login?"
    return 1
  }
  printf '%s\n' "$public" >"$logs/workers/${names[i]}.pub"
}

# Writes the allow-list of all hosts whose keys are known, whole or not at all: the coordinator reads it as it is.
write_allowed() {
  local file key
  for file in "$logs"/workers/*.pub; do
    read -r key _ <"$file"
    file=${file##*/}
    printf '%s %s\n' "$key" "${file%.pub}"
  done >"$logs/allowed.new"
  mv "$logs/allowed.new" "$logs/allowed"
}

# Prints the hosts as lines of the session's file.
print_hosts() {
  local i
  for i in "${!names[@]}"; do
    printf '%s %s %s %s\n' "${names[i]}" "${addresses[i]}" "${ports[i]}" "${threads[i]}"
  done
}

# The hosts and settings of a session that was started before.
read_session() {
  local name name_address name_port count
  logs=$(cd "$1" 2>/dev/null && pwd) || fail "$1 is not a folder"
  [ -f "$logs/settings" ] || fail "$logs is not the folder of a session of start.sh"
  # shellcheck source=/dev/null
  source "$logs/settings"
  names=() addresses=() ports=() threads=()
  while read -r name name_address name_port count; do
    names+=("$name") addresses+=("$name_address") ports+=("$name_port") threads+=("$count")
  done <"$logs/hosts"
}

start_worker() {
  on_host "$1" start "$session" "$address" "$port" "${threads[$1]}" "$grace" "$coordinator_key"
}

stop_worker() {
  local i=$1 log=$logs/workers/${names[$1]}.log
  on_host "$i" stop "$session" "$grace" || return 1
  # Nothing is there any more if it was gathered before.
  on_host "$i" log "$session" >"$log.new.$$" || return 1
  if [ -s "$log.new.$$" ] || [ ! -e "$log" ]; then mv "$log.new.$$" "$log"; else rm "$log.new.$$"; fi
  on_host "$i" forget "$session"
}

# Ends every worker of the session and fetches their logs.
stop_workers() {
  on_every_host stop_worker
  [ "${#failed[@]}" = 0 ] || say "left there: a worker that hears no coordinator for two minutes ends by itself; \
its log: cluster/ssh/stop.sh $logs, when the host is back" >&2
}
