#!/usr/bin/env bash
# cert-manager.sh    builds the controllers of cert-manager that one test needs, pinned by cert-manager/go.mod, once; prints the directory
# that holds the program, cert-manager, and the definitions of its kinds, crds/. Cold: one to three minutes on two cores.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/once.sh"
once cert-manager "$here"/cert-manager.sh "$here"/cert-manager/{go.mod,go.sum,main.go}
say "building (one to three minutes)"
cd "$here/cert-manager"
go build -ldflags "-s -w" -o "$work/cert-manager" . >&2
mkdir "$work/crds"
cp "$(go list -m -f '{{.Dir}}' github.com/cert-manager/cert-manager)"/deploy/crds/*.yaml "$work/crds/"
keep
