#!/bin/bash
# Installs what the build needs, on Debian and Ubuntu, and checks the Swift toolchain. Only what is missing is
# installed, so it can be run at any time. The output of apt-get goes to .build/install.log.
#
# usage: cluster/install.sh [--aarch64] [--testbed]
#   --aarch64   also the tools with which the tests run the kernels for AArch64 under qemu (some 400 MB)
#   --testbed   also the tools with which cluster/testbed makes hosts of its own and cuts them off
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

# The version of a Swift toolchain, as in 6.2; nothing if there is none.
swift_version() {
  command -v swift >/dev/null || return 0
  swift --version 2>/dev/null | sed -n 's/.*Swift version \([0-9]*\.[0-9]*\).*/\1/p' | head -n 1
}

check_swift() {
  local version how
  version=$(swift_version)
  how="Install Swift 6.2 or newer, e.g. with swiftly, as https://www.swift.org/install/linux/ says:
    curl -O https://download.swift.org/swiftly/linux/swiftly-$(uname -m).tar.gz
    tar zxf swiftly-$(uname -m).tar.gz && ./swiftly init
and run this script again in a new shell."
  [ -n "$version" ] || fail "The Swift toolchain is missing: there is no working 'swift' on the PATH." "$how"
  # The packages are written for it.
  [ "$(printf '%s\n' 6.2 "$version" | sort -V | head -n 1)" = 6.2 ] \
    || fail "Swift $version ($(command -v swift)) is too old." "$how"
  echo "Swift $version: $(command -v swift)"
}

installed() { dpkg-query -W -f='${Status}' "$1" 2>/dev/null | grep 'ok installed' >/dev/null; }

# The packages that are missing, on one line.
missing_packages() {
  local package
  # ZeroMQ, SQLite, PCRE2, OpenSSL and zlib with their headers.
  for package in libzmq3-dev libsqlite3-dev libpcre2-dev libssl-dev zlib1g-dev; do
    installed "$package" || printf '%s ' "$package"
  done
  # By command, since more than one package has it.
  command -v pkg-config >/dev/null || printf 'pkg-config '
  # Not for the build: it answers questions about a run (Sources/Ledger/SCHEMA.md).
  command -v sqlite3 >/dev/null || printf 'sqlite3 '
  # cluster/testbed: the proxy and the table.
  command -v python3 >/dev/null || printf 'python3 '
  [ -z "$testbed" ] || missing_testbed_packages
  [ -z "$aarch64" ] || missing_aarch64_packages
}

missing_testbed_packages() {
  local package
  for package in iproute2 nftables; do
    installed "$package" || printf '%s ' "$package"
  done
  # Downloads of the service are looked at with it.
  command -v curl >/dev/null || printf 'curl '
  # The page is looked at with it; Ubuntu has it as a snap alone, and does without.
  # (grep -q would end before apt-cache has said all, which then counts as failed.)
  command -v chromium >/dev/null || ! apt-cache show chromium 2>/dev/null | grep '^Version: [0-9]*\.' >/dev/null \
    || printf 'chromium python3-venv '
}

missing_aarch64_packages() {
  [ "$(uname -m)" = x86_64 ] || return 0
  local package version
  command -v qemu-aarch64-static >/dev/null || command -v qemu-aarch64 >/dev/null || printf 'qemu-user-static '
  installed libc6-dev-arm64-cross || printf 'libc6-dev-arm64-cross '
  ls -d /usr/lib/gcc-cross/aarch64-linux-gnu/[0-9]* >/dev/null 2>&1 && return 0
  for version in 14 13 12 11; do
    package=libgcc-$version-dev-arm64-cross
    if apt-cache show "$package" >/dev/null 2>&1; then
      printf '%s ' "$package"
      return 0
    fi
  done
}

# Without apt-get there is nothing to install with, but the libraries may be there.
check_libraries() {
  local library
  for library in libzmq sqlite3 libpcre2-8 libcrypto; do
    pkg-config --exists "$library" 2>/dev/null || fail \
      "This script installs packages on Debian and Ubuntu only, and pkg-config does not find $library here." \
      "Install the development files of ZeroMQ 4, SQLite 3, PCRE2 and OpenSSL 3" \
      "(macOS: brew install zeromq pcre2 openssl@3 pkgconf)."
  done
  echo "ZeroMQ, SQLite, PCRE2 and OpenSSL: found by pkg-config"
}

apt() {
  local run=(env DEBIAN_FRONTEND=noninteractive apt-get -q)
  [ "$(id -u)" = 0 ] || run=(sudo "${run[@]}")
  if ! "${run[@]}" "$@" >>.build/install.log 2>&1; then
    tail -n 15 .build/install.log >&2
    fail "apt-get $1 failed; .build/install.log has all of its output."
  fi
}

install_packages() {
  local packages
  read -r -a packages <<<"$(missing_packages)" || true
  if [ "${#packages[@]}" = 0 ]; then
    echo "Packages: nothing is missing"
    return
  fi
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    fail "Packages are missing, and installing them needs root: apt-get install ${packages[*]}"
  fi
  mkdir -p .build
  echo "Packages: installing ${packages[*]} (log: .build/install.log)"
  apt update
  # The lists may have been empty, so that the choice among versions is made again.
  read -r -a packages <<<"$(missing_packages)" || true
  apt install -y --no-install-recommends "${packages[@]}"
}

aarch64='' testbed=''
for argument in "$@"; do
  case $argument in
    --aarch64) aarch64=yes ;;
    --testbed) testbed=yes ;;
    *) fail "usage: cluster/install.sh [--aarch64] [--testbed]" ;;
  esac
done
check_swift
if command -v apt-get >/dev/null; then install_packages; else check_libraries; fi
