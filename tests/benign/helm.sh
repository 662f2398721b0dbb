#!/usr/bin/env bash
# helm.sh    builds Helm from the Go module proxy, once; prints the path of the binary.
#
# Kept in ${XDG_CACHE_HOME:-~/.cache}/kubewitness/helm/<version>; only the recording needs it, no test does.
# Cold: 3-10 minutes on two cores. Progress goes to stderr, the path to stdout.
set -euo pipefail
version=v3.19.0
out=${XDG_CACHE_HOME:-$HOME/.cache}/kubewitness/helm/$version
if [ -x "$out/helm" ]; then echo "$out/helm"; exit 0; fi
command -v go >/dev/null || { echo "helm: Go 1.26 or newer is needed to build it: see https://go.dev/doc/install" >&2; exit 1; }
mkdir -p "$out"
exec 9>"$out/.lock"
flock 9
if [ ! -x "$out/helm" ]; then
  echo "helm: building $version" >&2
  work=$(mktemp -d "$out/.new.XXXXXX")
  trap 'rm -rf "$work"' EXIT
  GOBIN=$work CGO_ENABLED=0 GOTOOLCHAIN=local GOFLAGS="-trimpath" go install "helm.sh/helm/v3/cmd/helm@$version" >&2
  mv "$work/helm" "$out/helm"
fi
echo "$out/helm"
