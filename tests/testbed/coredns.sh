#!/usr/bin/env bash
# coredns.sh    builds CoreDNS, pinned by coredns/go.mod, once; prints the directory that holds it. Only the test on a real node needs it.
# Cold: one to two minutes on two cores.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/once.sh"
once coredns "$here"/coredns.sh "$here"/coredns/{go.mod,go.sum,main.go}
say "building (one to two minutes)"
cd "$here/coredns"
go build -ldflags "-s -w" -o "$work/coredns" . >&2
keep
