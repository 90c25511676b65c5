#!/bin/bash
# Several hosts on one machine: a network namespace each, joined by a bridge in a namespace of its own. The machine's
# own network is not touched. It needs root, and ip, nft and tc (packages iproute2 and nftables).
#
# usage: network.sh COMMAND [ARGUMENTS]
#   check              says what is missing here; exit code 0 if nothing is
#   up N               makes hosts 1…N, with the addresses 10.77.0.1…N
#   down               ends every process on the hosts and removes them
#   address I          prints the address of host I
#   exec I PROGRAM …   runs a program on host I, in place of this script
#   partition I J      no packet passes between I and J
#   oneway I J         I hears nothing from J; J hears I
#   reset I J          I resets every TCP connection to or from J, whenever a packet comes
#   loss I PERCENT     host I loses that part of the packets that reach it
#   rate I RATE        host I sends no faster than RATE, as in 50mbit
#   linkdown I         host I loses its link
#   heal I             undoes all of these at host I
#
# NL_NETWORK names the set of hosts (default nlnet), so that several can be there at a time.
set -euo pipefail
name=${NL_NETWORK:-nlnet}
bridge=${name}b

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

host() { echo "$name$1"; }
address() { echo "10.77.0.$1"; }

hosts() { ip netns list | awk '{print $1}' | grep -E "^$name([0-9]+|b)$" || true; }

# Rules are checked by a namespace that is gone again at once: containers often forbid them even to root.
check() {
  local tool probe=$name-probe
  for tool in ip nft tc; do
    command -v $tool >/dev/null || fail "$tool is missing; cluster/install.sh --testbed installs it"
  done
  [ "$(id -u)" = 0 ] || fail "hosts of one's own need root"
  ip netns add "$probe" 2>/dev/null || fail "network namespaces are not permitted here"
  local permitted=yes
  ip netns exec "$probe" nft "add table inet faults" 2>/dev/null || permitted=
  ip netns del "$probe"
  [ -n "$permitted" ] || fail "nftables are not permitted here"
}

up() {
  local i
  ip netns add "$bridge"
  ip -n "$bridge" link add br0 type bridge
  ip -n "$bridge" link set br0 up
  for i in $(seq 1 "$1"); do
    ip netns add "$(host "$i")"
    ip -n "$(host "$i")" link set lo up
    ip link add "port$i" netns "$bridge" type veth peer name eth0 netns "$(host "$i")"
    ip -n "$bridge" link set "port$i" master br0 up
    ip -n "$(host "$i")" addr add "$(address "$i")/24" dev eth0
    ip -n "$(host "$i")" link set eth0 up
  done
}

down() {
  local namespace
  for namespace in $(hosts); do
    ip netns pids "$namespace" | xargs -r kill -KILL 2>/dev/null || true
    ip netns del "$namespace"
  done
}

# Adds rules to the table of host I.
rules() {
  ip netns exec "$(host "$1")" nft "add table inet faults
    add chain inet faults in { type filter hook input priority 0; }
    add chain inet faults out { type filter hook output priority 0; }
    $2"
}

heal() {
  ip netns exec "$(host "$1")" nft "delete table inet faults" 2>/dev/null || true
  ip netns exec "$(host "$1")" tc qdisc del dev eth0 root 2>/dev/null || true
  ip -n "$(host "$1")" link set eth0 up
}

case "${1:-}" in
  check) check ;;
  up) up "$2" ;;
  down) down ;;
  address) address "$2" ;;
  exec) exec ip netns exec "$(host "$2")" "${@:3}" ;;
  partition)
    rules "$2" "add rule inet faults in ip saddr $(address "$3") drop
      add rule inet faults out ip daddr $(address "$3") drop" ;;
  oneway) rules "$2" "add rule inet faults in ip saddr $(address "$3") drop" ;;
  reset) rules "$2" "add rule inet faults in ip saddr $(address "$3") meta l4proto tcp reject with tcp reset" ;;
  loss) rules "$2" "add rule inet faults in numgen random mod 100 < $3 drop" ;;
  rate) ip netns exec "$(host "$2")" tc qdisc replace dev eth0 root tbf rate "$3" burst 64kb latency 200ms ;;
  linkdown) ip -n "$(host "$2")" link set eth0 down ;;
  heal) heal "$2" ;;
  *) sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "$0" >&2; exit 2 ;;
esac
