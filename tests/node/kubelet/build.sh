#!/usr/bin/env bash
# build.sh    builds kubelet from the Go module proxy; prints the directory that holds it.
#
# go.mod pins it, as testbed/pin-kubernetes.sh pins the API server of the same version. Built once and kept in
# ${XDG_CACHE_HOME:-~/.cache}/kubewitness/node/kubelet-<hash>. Half a minute where the test bed was built, else some minutes.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/node
hash=$(cat "$here"/{build.sh,go.mod,go.sum} | sha256sum | cut -c1-16)
out=$cache/kubelet-$hash
if [ -e "$out/kubelet" ]; then echo "$out"; exit 0; fi
command -v go >/dev/null || { echo "node: Go 1.26 or newer is needed to build kubelet and is not on PATH: see https://go.dev/doc/install" >&2; exit 1; }
mkdir -p "$cache"
work=$(mktemp -d "$cache/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
version=$(sed -nE 's#^\s*k8s.io/kubernetes (v[0-9.]+)( // indirect)?$#\1#p' "$here/go.mod" | head -1)
minor=${version#v1.}; minor=${minor%%.*}
stamp=k8s.io/component-base/version
echo "node: building kubelet $version" >&2
cd "$here"
CGO_ENABLED=0 GOTOOLCHAIN=local go build -mod=readonly -trimpath -buildvcs=false -o "$work/kubelet" \
  -ldflags "-s -w -X $stamp.gitVersion=$version -X $stamp.gitMajor=1 -X $stamp.gitMinor=$minor -X k8s.io/client-go/pkg/version.gitVersion=$version" \
  k8s.io/kubernetes/cmd/kubelet >&2
chmod 755 "$work"
rm -rf "$out"
mv "$work" "$out"
trap - EXIT
echo "$out"
