#!/bin/bash
# Packs the programs, with every library that they need but the C and C++ ones of the system, into one tarball that runs
# on a machine without Swift: .build/dist/nested-learning-VERSION-linux-ARCHITECTURE.tar.gz. The machine needs the same
# kind of CPU and a glibc that is no older than this one's.
#
# usage: cluster/dist.sh [VERSION]     (default: what `git describe` says)
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
  printf '%s\n' "$@" >&2
  exit 1
}

version=${1:-$(git describe --tags --always --dirty 2>/dev/null || date +%Y%m%d)}
[[ $version =~ ^[A-Za-z0-9][A-Za-z0-9._+-]*$ ]] || fail "not a version: $version"
name=nested-learning-$version-linux-$(uname -m)
output=.build/dist
folder=$output/$name
programs=(nl-coord nl-worker nl-tool)
[ "$(uname -s)" = Linux ] || fail "tarballs are made on Linux"
command -v strip >/dev/null || fail "strip is missing: install binutils"

# The old kind of search path holds for the libraries' own libraries as well. Nothing but the linking is done again.
# shellcheck disable=SC2016
cluster/build.sh -Xlinker -rpath -Xlinker '$ORIGIN/../lib/nested-learning' -Xlinker --disable-new-dtags
bin=$(swift build -c release --show-bin-path)

# glibc and the compilers' run time are part of every system, and must fit its loader.
is_of_the_system() {
  case ${1##*/} in
    ld-linux*.so.* | libc.so.* | libm.so.* | libdl.so.* | libpthread.so.* | librt.so.* | libresolv.so.* | \
      libutil.so.* | libgcc_s.so.* | libstdc++.so.*) ;;
    *) return 1 ;;
  esac
}

libraries() {
  local library
  ldd "${programs[@]/#/$bin/}" | awk '$2 == "=>" && $3 ~ /^\// {print $3}' | sort -u | while read -r library; do
    is_of_the_system "$library" || echo "$library"
  done
}

missing=$(ldd "${programs[@]/#/$bin/}" | awk '/not found/ {print $1}' | sort -u)
[ -z "$missing" ] || fail "libraries are missing here: $missing"
# Only what this script has made goes.
rm -rf "$folder"
mkdir -p "$folder"/{bin,lib/nested-learning,share/doc/nested-learning/licenses,share/nested-learning}
for program in "${programs[@]}"; do install -s "$bin/$program" "$folder/bin/"; done
libraries | while read -r library; do
  install -m 644 -s "$(realpath "$library")" "$folder/lib/nested-learning/${library##*/}"
  package=$(dpkg-query -S "$(realpath "$library")" 2>/dev/null | cut -d : -f 1 | head -n 1) || true
  [ -z "$package" ] || cp "/usr/share/doc/$package/copyright" "$folder/share/doc/nested-learning/licenses/$package"
done
swift_license=$(dirname "$(dirname "$(readlink -f "$(command -v swift)")")")/share/swift/LICENSE.txt
[ ! -f "$swift_license" ] || cp "$swift_license" "$folder/share/doc/nested-learning/licenses/swift"
for package in .build/checkouts/*/; do
  for license in "$package"LICENSE*; do
    [ ! -f "$license" ] || cp "$license" "$folder/share/doc/nested-learning/licenses/$(basename "$package")"
  done
done

# What a shell needs to complete the programs' flags, where each shell looks for it below a prefix such as /usr/local.
for program in "${programs[@]}"; do
  install -d "$folder"/share/{bash-completion/completions,zsh/site-functions,fish/vendor_completions.d}
  "$bin/$program" --generate-completion-script bash >"$folder/share/bash-completion/completions/$program"
  "$bin/$program" --generate-completion-script zsh >"$folder/share/zsh/site-functions/_$program"
  "$bin/$program" --generate-completion-script fish >"$folder/share/fish/vendor_completions.d/$program.fish"
done

cp LICENSE CHANGELOG.md README.md "$folder/share/doc/nested-learning/"
cp -R examples/quickstart "$folder/share/nested-learning/quickstart"
cat >"$folder/README" <<END
Nested learning $version for Linux on $(uname -m), built with glibc $(ldd --version | sed -n '1s/.* //p').

It runs from where it was unpacked. To try it there:

    bin/nl-coord train --config share/nested-learning/quickstart/quickstart.json --output-path runs --local-workers 2
    bin/nl-tool generate --model share/nested-learning/quickstart/base --adapter runs/quickstart/checkpoints/final \\
      --prompt "And God"

To install it for everybody: cp -R bin lib share /usr/local/. Completions of flags for bash, zsh and fish are then where
these shells look for them; elsewhere, e.g.: source share/bash-completion/completions/nl-coord.

More is in share/doc/nested-learning/README.md, and the licenses of what is bundled are beside it.
END

# The same tree gives the same tarball: sorted names, nobody's files, the time of the commit.
date=@$(git log -1 --format=%ct 2>/dev/null || date +%s)
tar -C "$output" --sort=name --owner=0 --group=0 --numeric-owner --mtime="$date" -cf - "$name" | gzip -n9 \
  >"$output/$name.tar.gz"
echo "$output/$name.tar.gz: $(du -h "$output/$name.tar.gz" | cut -f 1)"
