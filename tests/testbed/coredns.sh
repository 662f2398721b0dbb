#!/usr/bin/env bash
# coredns.sh    builds CoreDNS from the Go module proxy; prints the directory that holds it.
#
# Pinned by coredns/go.mod. Built once and kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/coredns/<hash>; only the test on a real
# node needs it. Cold: one to two minutes on two cores. Progress goes to stderr, the directory to stdout.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/coredns
out=$cache/$(cat "$here"/coredns.sh "$here"/coredns/{go.mod,go.sum,main.go} | sha256sum | cut -c1-16)
if [ -e "$out/coredns" ]; then echo "$out"; exit 0; fi
command -v go >/dev/null || { echo "testbed: Go 1.26 or newer is needed to build CoreDNS and is not on PATH: see https://go.dev/doc/install" >&2; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
if [ -e "$out/coredns" ]; then echo "$out"; exit 0; fi
work=$(mktemp -d "$cache/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
echo "testbed: building CoreDNS (one to two minutes)" >&2
cd "$here/coredns"
CGO_ENABLED=0 GOTOOLCHAIN=local go build -mod=readonly -trimpath -buildvcs=false -ldflags "-s -w" -o "$work/coredns" . >&2
chmod 755 "$work"
rm -rf "$out"
mv "$work" "$out"
trap - EXIT
echo "$out"
