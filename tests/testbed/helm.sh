#!/usr/bin/env bash
# helm.sh    builds Helm from the Go module proxy, once; prints the path of the binary.
#
# Kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/helm/<hash>, where <hash> covers go.mod, go.sum and this script.
# Cold: 2-4 minutes on two cores. Progress goes to stderr, the path to stdout. Two callers share one build.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/helm
hash=$(cat "$here"/{helm.sh,helm/go.mod,helm/go.sum} | sha256sum | cut -c1-16)
out=$cache/$hash
say() { echo "helm: $*" >&2; }

if [ -x "$out/helm" ]; then echo "$out/helm"; exit 0; fi
command -v go >/dev/null || { say "Go 1.26 or newer is needed to build it and is not on PATH: see https://go.dev/doc/install"; exit 1; }
mkdir -p "$cache"
exec 9>"$cache/.lock"
flock -n 9 || { say "another build is running in $cache; waiting for it"; flock 9; }
if [ -x "$out/helm" ]; then echo "$out/helm"; exit 0; fi

export CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-mod=readonly -trimpath -buildvcs=false"
work=$(mktemp -d "$cache/.new.XXXXXX")
trap 'rm -rf "$work"' EXIT
cd "$here/helm"
package=$(sed -nE 's/^tool //p' go.mod)
version=$(sed -nE 's#^\s*helm.sh/helm/v3 (v[0-9.]+).*$#\1#p' go.mod)
# What Helm takes a cluster's version for when it asks none, as its own releases are stamped: the one of its client.
minor=$(sed -nE 's#^\s*k8s.io/client-go v0\.([0-9]+)\..*$#\1#p' go.mod)
stamp="-X helm.sh/helm/v3/internal/version.version=$version"
for package_of_version in pkg/chartutil pkg/lint/rules; do
  stamp+=" -X helm.sh/helm/v3/$package_of_version.k8sVersionMajor=1 -X helm.sh/helm/v3/$package_of_version.k8sVersionMinor=$minor"
done
say "building $version"
start=$SECONDS
go build -ldflags "-s -w $stamp" -o "$work/helm" "$package" >&2
chmod 755 "$work"
rm -rf "$out"
mv "$work" "$out"
trap - EXIT
say "done in $((SECONDS - start)) s"
echo "$out/helm"
