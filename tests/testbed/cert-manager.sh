#!/usr/bin/env bash
# cert-manager.sh    builds the controllers of cert-manager that one test needs from the Go module proxy; prints the directory that
# holds the program, cert-manager, and the definitions of its kinds, crds/.
#
# Pinned by cert-manager/go.mod. Built once and kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/cert-manager/<hash>. Cold: one to three
# minutes on two cores. Progress goes to stderr, the directory to stdout.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/cert-manager
out=$cache/$(cat "$here"/cert-manager.sh "$here"/cert-manager/{go.mod,go.sum,main.go} | sha256sum | cut -c1-16)
if [ -e "$out/complete" ]; then echo "$out"; exit 0; fi
command -v go >/dev/null || { echo "testbed: Go 1.26 or newer is needed to build cert-manager and is not on PATH: see https://go.dev/doc/install" >&2; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock 9
if [ -e "$out/complete" ]; then echo "$out"; exit 0; fi
work=$(mktemp -d "$cache/.new.XXXXXX")
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
echo "testbed: building cert-manager (one to three minutes)" >&2
cd "$here/cert-manager"
export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
go build -ldflags "-s -w" -o "$work/cert-manager" . >&2
mkdir "$work/crds"
cp "$(go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)"/deploy/crds/*.yaml "$work/crds/"
chmod -R u+w "$work/crds"
date -u +%FT%TZ >"$work/complete"
chmod 755 "$work"
rm -rf "$out"
mv "$work" "$out"
trap - EXIT
echo "$out"
