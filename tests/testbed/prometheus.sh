#!/usr/bin/env bash
# prometheus.sh    prints the directory of prometheus, promtool and prometheus-alertmanager.
#
# Those on PATH, else those of the Debian packages, unpacked into ${XDG_CACHE_HOME:-~/.cache}/kubewitness/prometheus: that
# needs no root, starts no service and changes no package of the machine. Progress goes to stderr, the directory to stdout.
set -euo pipefail
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/prometheus
say() { echo "testbed: $*" >&2; }

programs=(prometheus promtool prometheus-alertmanager)
all_in() { local program; for program in "${programs[@]}"; do [ -x "$1/$program" ] || return 1; done; }

if command -v promtool >/dev/null && all_in "$(dirname "$(command -v promtool)")"; then
  dirname "$(command -v promtool)"
  exit 0
fi
if [ -e "$cache/complete" ] && all_in "$cache/usr/bin"; then echo "$cache/usr/bin"; exit 0; fi
if ! command -v apt-get >/dev/null || ! command -v dpkg-deb >/dev/null; then
  say "${programs[*]} are needed in one directory of PATH, and this is not Debian: see https://prometheus.io/download"
  exit 1
fi
mkdir -p "${cache%/*}"
exec 9>"${cache%/*}/.prometheus.lock"
flock 9
if [ -e "$cache/complete" ] && all_in "$cache/usr/bin"; then echo "$cache/usr/bin"; exit 0; fi

work=$(mktemp -d "${cache%/*}/.prometheus.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir -p "$work"/{lists,archives}/partial
# Package lists of our own: the machine's may be absent or old, and only root may renew them.
apt=(apt-get -q -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work" -o APT::Sandbox::User="$(id -un)")
say "prometheus: downloading the Debian packages"
if ! (cd "$work" && "${apt[@]}" update && "${apt[@]}" download prometheus prometheus-alertmanager) >"$work/log" 2>&1; then
  tail -5 "$work/log" >&2
  say "prometheus: the Debian packages cannot be downloaded; the lines above say why"
  exit 1
fi
for package in "$work"/prometheus*.deb; do dpkg-deb --extract "$package" "$work/root"; done
chmod 755 "$work/root"
date -u +%FT%TZ >"$work/root/complete"
rm -rf "$cache"
mv "$work/root" "$cache"
echo "$cache/usr/bin"
