#!/usr/bin/env bash
# pin-kubernetes.sh VERSION     e.g. 1.34.4: rewrites kube/go.mod and kube/go.sum, or kube/RELEASE.mod and .sum, for that Kubernetes version.
# k8s.io/kubernetes replaces its staging modules by ./staging/... paths, which a module zip does not contain. Each of
# them is also published as k8s.io/X v0.MINOR.PATCH: take the names from its go.mod and point every one there.
set -euo pipefail
version=$1
here=$(cd "$(dirname "${BASH_SOURCE[0]}")/kube" && pwd)
case $version in 1.34.*) modules=$here/go ;; *) modules=$here/${version%.*} ;; esac
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here/main.go" "$work/"
cd "$work"
export GOTOOLCHAIN=local GOFLAGS=-mod=mod
printf 'module kubewitness.io/testbed/kube\n' >go.mod
upstream=$(go mod download -json "k8s.io/kubernetes@v$version" | sed -nE 's/^\s*"GoMod": "(.*)",$/\1/p')
{
  echo "module kubewitness.io/testbed/kube"; echo
  grep -E '^go ' "$upstream"; echo
  echo "require k8s.io/kubernetes v$version"; echo
  echo "replace ("
  sed -nE "s#^[[:space:]]*(k8s\.io/[a-z0-9.-]+) => \./staging.*#	\1 => \1 v0.${version#1.}#p" "$upstream"
  echo ")"
} >go.mod
go mod tidy
cp go.mod "$modules.mod"
cp go.sum "$modules.sum"
