#!/usr/bin/env bash
# build.sh    builds the reference implementation of the rule language (cel-go with Kubernetes' libraries) from the Go
#             module proxy; prints the directory with `oracle` and `conformance.jsonl`, the cases of the CEL specification.
#
# Built once and kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/oracle/<hash>, where <hash> covers every file that decides
# the result. Progress goes to stderr, the directory to stdout. Cold: under two minutes. Two callers share one build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/oracle
hash=$(cat "$here"/{build.sh,go.mod,go.sum,main.go,values.go,conformance.go} | sha256sum | cut -c1-16)
out=$cache/$hash
say() { echo "oracle: $*" >&2; }

if [ -e "$out/conformance.jsonl" ]; then echo "$out"; exit 0; fi
command -v go >/dev/null || { say "Go 1.24 or newer is needed to build the oracle and is not on PATH: see https://go.dev/doc/install"; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { say "another build is running in $cache; waiting for it"; flock 9; }
if [ -e "$out/conformance.jsonl" ]; then echo "$out"; exit 0; fi

export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
work=$(mktemp -d "$cache/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
start=$SECONDS
cd "$here"
say "downloading modules and compiling; about a minute"
go build -ldflags "-s -w" -o "$work/oracle" . >&2
# The module that holds the cases is named by go.mod and verified by go.sum.
cases=$(go list -m -f '{{.Dir}}' cel.dev/expr)/tests/simple/testdata
"$work/oracle" conformance "$cases" >"$work/conformance.jsonl"
chmod 755 "$work"
rm -rf "$out"
mv "$work" "$out"
trap - EXIT
say "done in $((SECONDS - start)) s"
echo "$out"
