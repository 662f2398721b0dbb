#!/usr/bin/env bash
# build.sh    builds the reference implementation of the rule language (cel-go with Kubernetes' libraries) from the Go
#             module proxy; prints the directory with `oracle` and `conformance.jsonl`, the cases of the CEL specification.
#             Once: see ../testbed/once.sh. Cold: under two minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
. "$here/../testbed/once.sh"
once oracle "$here"/{build.sh,go.mod,go.sum,main.go,values.go,conformance.go}
cd "$here"
say "downloading modules and compiling; about a minute"
go build -ldflags "-s -w" -o "$work/oracle" . >&2
# The module that holds the cases is named by go.mod and verified by go.sum.
cases=$(go list -m -f '{{.Dir}}' cel.dev/expr)/tests/simple/testdata
"$work/oracle" conformance "$cases" >"$work/conformance.jsonl"
keep
